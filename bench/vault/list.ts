/**
 * How long it takes to open a vault of many checkpoints and list them: on a PC that never saw it, and on one that listed it
 * before. The checkpoints are of a guest without disks that is off, each with a picture of usual size.
 */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { systemRandom } from '../../electron/platform/random.ts'
import { testDefinition } from '../../electron/qemu/test-guests.ts'
import type { VaultEvent, VaultFolders } from '../../electron/vault/service/vault-service.ts'
import { VaultServiceHere } from '../../electron/vault/service/vault-service-here.ts'
import { errorFromShape } from '../../shared/errors/index.ts'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import { type BenchRow, median } from '../lib/report.ts'
import { homeLink } from './link.ts'
import { emptyFolders } from './opened.ts'
import { atMost, measuredRow, type Repetitions } from './plan.ts'
import { type Rig, withRig } from './rig.ts'

/** A picture of a text screen is smaller, one of a desktop not by much larger. */
const pictureBytes = 20_000
const dockId = 'a'.repeat(52)

export async function measureList(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const place = await rig.azurePlace()
    const key = await fill(rig, place, times.listed)
    const far = await rig.behindLink(homeLink, place)
    const direct = await openings(rig, place, key, times)
    const remote = await openings(rig, far.place, key, times)
    tell(`list of ${times.listed}: ${JSON.stringify({ direct, remote })}`)
    const common = { case: 'list', unit: 's', digits: 2, n: times.lists }
    const of = `list of ${times.listed} checkpoints`
    return [
      measuredRow({
        ...{ ...common, load: 'cold', metric: of },
        ...{ ours: median(direct.coldS), goal: atMost(2) },
      }),
      measuredRow({
        ...{ ...common, load: 'warm', metric: of },
        ...{ ours: median(direct.warmS), goal: atMost(0.3) },
      }),
      measuredRow({
        ...{ ...common, load: 'cold', link: '70 Mbit/s, 30 ms', metric: of },
        ours: median(remote.coldS),
      }),
      measuredRow({
        ...{ ...common, load: 'warm', link: '70 Mbit/s, 30 ms', metric: of },
        ours: median(remote.warmS),
      }),
    ]
  })
}

async function openings(rig: Rig, place: VaultPlace, vaultKey: Uint8Array, times: Repetitions) {
  const coldS: number[] = []
  const warmS: number[] = []
  for (let round = 0; round < times.lists; round += 1) {
    const folders = await emptyFolders(await rig.newFolder())
    coldS.push(await opening(place, folders, vaultKey, times.listed))
    warmS.push(await opening(place, folders, vaultKey, times.listed))
  }
  return { coldS, warmS }
}

/** A service of its own, so that nothing is remembered but on the disk. @returns seconds */
async function opening(
  place: VaultPlace,
  folders: VaultFolders,
  vaultKey: Uint8Array,
  listed: number,
): Promise<number> {
  const service = new VaultServiceHere({ onEvent: () => {} })
  const startedMs = performance.now()
  await service.open(place, folders, { vaultKey })
  const found = await service.list()
  const tookMs = performance.now() - startedMs
  await service.close()
  if (found.length !== listed) throw new Error(`${found.length} were listed`)
  return tookMs / 1000
}

/** @returns the vault's key */
async function fill(rig: Rig, place: VaultPlace, count: number): Promise<Uint8Array> {
  const uploads = new Map<string, PromiseWithResolvers<void>>()
  const onEvent = (event: VaultEvent): void => {
    if (event.type === 'upload.published') uploads.get(event.captureId)?.resolve()
    if (event.type === 'upload.failed') uploads.get(event.captureId)?.reject(errorFromShape(event.error))
  }
  const bootFile = await tinyFile(await rig.newFolder())
  const service = new VaultServiceHere({ onEvent })
  const { vaultKey } = await service.create(place, await emptyFolders(await rig.newFolder()))
  let left = count
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const captureId = systemRandom.hex(16)
      const upload = Promise.withResolvers<void>()
      uploads.set(captureId, upload)
      await keepTiny(service, captureId, bootFile)
      await upload.promise
    }
  }
  await Promise.all(Array.from({ length: 2 * availableParallelism() }, lane))
  await service.close()
  return vaultKey
}

interface BootFile {
  sha256: string
  path: string
}

/** A checkpoint of nothing cannot be. */
async function tinyFile(folder: string): Promise<BootFile> {
  const path = join(folder, 'kernel')
  const bytes = systemRandom.bytes(4096)
  await writeFile(path, bytes)
  return { path, sha256: createHash('sha256').update(bytes).digest('hex') }
}

async function keepTiny(service: VaultServiceHere, captureId: string, bootFile: BootFile): Promise<void> {
  await service.beginCapture({
    captureId,
    guest: testDefinition({ disks: [] }),
    ...{ byDockId: dockId, byDockName: 'PC', reason: 'interval', qemuVersion: '7.2.0', accelerator: 'tcg' },
    label: { name: '', note: '', pinned: false },
    picturePng: systemRandom.bytes(pictureBytes),
    ...{ memorySocketPath: null, bootFiles: [bootFile] },
  })
  await service.completeCapture(captureId, { atMs: Date.now(), freezeMs: null, frozenBy: 'off' })
}
