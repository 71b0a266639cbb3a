/**
 * How fast a full checkpoint gets into an empty folder: bytes of guest state (memory that is not zero, allocated disk) by the
 * time from the order to the checkpoint being published, and where that time went.
 */

import { pageBytes } from '../../electron/pages/page-id.ts'
import type { Manifest } from '../../electron/vault/codec/manifest.ts'
import { dataPagesOf } from '../../electron/vault/codec/region-runs.ts'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import { type BenchRow, median } from '../lib/report.ts'
import { type Kept, keepCheckpoint } from './keep.ts'
import { withVault } from './opened.ts'
import { atLeast, measuredRow, type Repetitions } from './plan.ts'
import { untilRehearsed, withRig } from './rig.ts'

/** From each phase to the next, ms. */
interface Split {
  'until the guest is frozen': number
  'freezing and reading memory': number
  'reading disks': number
  finishing: number
  publishing: number
}

export async function measureRate(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const { dock, guestId } = await rig.dockWithGuest()
    const rates: number[] = []
    const splits: Split[] = []
    for (let round = 0; round < times.fulls; round += 1) {
      const place: VaultPlace = { kind: 'folder', path: await rig.newFolder() }
      const { phrase } = await dock.client.vault.create(place)
      const kept = await keepCheckpoint(dock, guestId)
      await untilRehearsed(dock, kept.checkpoint.id)
      const stateBytes = await withVault(place, phrase, await rig.newFolder(), async ({ catalog }) =>
        stateBytesOf(await catalog.manifest(kept.checkpoint.id)),
      )
      const tookMs = (kept.publishedMs ?? kept.keptMs) - kept.startedMs
      rates.push(stateBytes / 1e3 / tookMs)
      splits.push(splitOf(kept))
      const parts = Object.entries(splits.at(-1) ?? {}).map(([name, ms]) => `${name} ${ms.toFixed(0)}`)
      tell(
        `rate: ${rates.at(-1)?.toFixed(0)} MB/s, ${(stateBytes / 1e6).toFixed(0)} MB in ${tookMs.toFixed(0)} ms: ${parts.join(', ')}`,
      )
      await dock.client.vault.forget()
    }
    const common = { case: 'rate', n: rates.length }
    const names = Object.keys(splits[0] ?? {}) as (keyof Split)[]
    return [
      measuredRow({
        ...{ ...common, metric: 'full checkpoint into a folder', unit: 'MB/s', digits: 0 },
        ...{ ours: median(rates), goal: atLeast(150) },
      }),
      ...names.map((name) =>
        measuredRow({
          ...{ ...common, metric: `of that: ${name}`, unit: 'ms', digits: 0 },
          ours: median(splits.map((split) => split[name])),
        }),
      ),
    ]
  })
}

function splitOf({ startedMs, keptMs, publishedMs, phases }: Kept): Split {
  const finishing = phases.finishing ?? keptMs
  const disk = phases['reading-disk'] ?? finishing
  const freezing = phases.freezing ?? startedMs
  const memory = phases['reading-memory'] ?? disk
  return {
    'until the guest is frozen': Math.min(freezing, memory) - startedMs,
    'freezing and reading memory': disk - Math.min(freezing, memory),
    'reading disks': finishing - disk,
    finishing: keptMs - finishing,
    publishing: (publishedMs ?? keptMs) - keptMs,
  }
}

/** What it boots from is not its state. */
function stateBytesOf({ head, regions }: Manifest): number {
  let pages = 0
  for (const [at, runs] of regions.entries()) {
    if (head.regions[at]?.kind !== 'boot-file') pages += dataPagesOf(runs)
  }
  return pages * pageBytes
}
