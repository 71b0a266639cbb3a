/**
 * What a second checkpoint adds after 12 s of light work, beside what truly changed, and beside the first one. The demo guest
 * at rest changes so little that the manifest is a good part of it; so the same is measured of one that rewrites 2 MB
 * once a second as well.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import { type BenchRow, median } from '../lib/report.ts'
import { changedPages } from './changed-pages.ts'
import { keepCheckpoint } from './keep.ts'
import { withVault } from './opened.ts'
import { atMost, measuredRow, type Repetitions } from './plan.ts'
import { askGuest, type Rig, withRig } from './rig.ts'

const lightWorkMs = 12_000
const loads = [
  { name: 'idle', command: 'dirty 0 0' },
  { name: 'light', command: 'dirty 2 1' },
] as const

export async function measureIncremental(
  times: Repetitions,
  tell: (text: string) => void,
): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const { dock, guestId } = await rig.dockWithGuest()
    const rows: BenchRow[] = []
    for (const { name, command } of loads) {
      await askGuest(dock, guestId, command)
      rows.push(...(await measureLoad(rig, { dock, guestId, load: name }, times, tell)))
    }
    return rows
  })
}

interface Loaded {
  dock: DockProcess
  guestId: string
  load: string
}

async function measureLoad(
  rig: Rig,
  { dock, guestId, load }: Loaded,
  times: Repetitions,
  tell: (text: string) => void,
): Promise<BenchRow[]> {
  const added: number[] = []
  const changed: number[] = []
  const full: number[] = []
  for (let round = 0; round < times.incrementals; round += 1) {
    const place: VaultPlace = { kind: 'folder', path: await rig.newFolder() }
    const { phrase } = await dock.client.vault.create(place)
    const first = await keepCheckpoint(dock, guestId)
    await wait(lightWorkMs)
    const second = await keepCheckpoint(dock, guestId)
    const truly = await withVault(place, phrase, await rig.newFolder(), ({ vault }) =>
      changedPages(vault, first.checkpoint.id, second.checkpoint.id),
    )
    added.push(second.checkpoint.addedBytes / 1e6)
    changed.push(truly.compressedBytes / 1e6)
    full.push(first.checkpoint.addedBytes / 1e6)
    tell(
      `incremental, ${load}: ${added.at(-1)?.toFixed(2)} MB added; ${truly.pages} pages changed, ${changed.at(-1)?.toFixed(2)} MB compressed; the first ${full.at(-1)?.toFixed(1)} MB`,
    )
    await dock.client.vault.forget()
  }
  const n = added.length
  const ratios = (beside: readonly number[]): number =>
    median(added.map((value, at) => value / (beside[at] ?? 1)))
  const common = { case: 'incremental', load, n }
  return [
    measuredRow({
      ...{ ...common, metric: 'added by a second checkpoint', unit: 'MB', digits: 2 },
      ours: median(added),
      peer: { name: 'changed pages, compressed', value: median(changed) },
    }),
    measuredRow({
      ...{ ...common, metric: 'added, of the changed pages compressed', unit: '×', digits: 3 },
      ...{ ours: ratios(changed), goal: atMost(1.15) },
    }),
    measuredRow({
      ...{ ...common, metric: 'added, of the full one before', unit: '×', digits: 3 },
      ...{ ours: ratios(full), goal: atMost(0.12) },
    }),
  ]
}
