/**
 * How soon a guest is back on a PC that has nothing of it, over a home's line: from the order to its first tick, with what a
 * rehearsal wrote down and without; and what a second checkpoint costs where the first one was restored.
 */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { openPlace } from '../../electron/objects/open-place.ts'
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import { WitnessReader } from '../../electron/testing/witness.ts'
import { prefixes } from '../../electron/vault/names.ts'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import { type BenchRow, median } from '../lib/report.ts'
import { keepCheckpoint } from './keep.ts'
import { homeLink, type Link } from './link.ts'
import { openingParts } from './opened.ts'
import { atLeast, atMost, measuredRow, type Repetitions } from './plan.ts'
import { assertWhole, type Rig, untilRehearsed, withRig } from './rig.ts'

const linkWords = '70 Mbit/s, 30 ms'
/** One in 10 ms. */
const ticksPerS = 100
const lightWorkMs = 12_000
const bootTimeoutMs = 180_000

/** Most guests boot from their disk; this one from a kernel and an initial disk of 15 MB, which QEMU wants at its start. */
const loads = [
  { load: 'rehearsed', isRehearsed: true, hasBootFiles: false },
  { load: 'rehearsed, boot files here', isRehearsed: true, hasBootFiles: true },
  { load: 'not rehearsed', isRehearsed: false, hasBootFiles: false },
  { load: 'not rehearsed, boot files here', isRehearsed: false, hasBootFiles: true },
] as const

export async function measureRestore(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const source = await kept(rig)
    if (!(await untilRehearsed(source.dock, source.checkpointId))) throw new Error('it was not rehearsed')
    // It would share the processor with the guest that is restored.
    await source.dock.client.guests.pause({ guestId: source.guestId })
    const rows: BenchRow[] = []
    for (const { load, isRehearsed, hasBootFiles } of loads) {
      if (!isRehearsed) await forgetRehearsal(rig, source.place, source.checkpointId)
      const restores: Restored[] = []
      for (let round = 0; round < times.restores; round += 1) {
        const restored = await restoreAnew(rig, source, hasBootFiles)
        restores.push(restored)
        const { firstTickMs, secondsBytes, fifthSecondTicks } = restored
        tell(
          `restore, ${load}: first tick after ${firstTickMs.toFixed(0)} ms and ${(secondsBytes / 1e6).toFixed(1)} MB, ${fifthSecondTicks} ticks in the 5th second`,
        )
      }
      rows.push(...rowsOf(load, isRehearsed, restores))
    }
    return rows
  })
}

function rowsOf(load: string, isRehearsed: boolean, restores: readonly Restored[]): BenchRow[] {
  const common = { case: 'restore', link: linkWords, load, n: restores.length }
  const of = (value: (restored: Restored) => number): number => median(restores.map(value))
  return [
    measuredRow({
      ...{ ...common, metric: 'from the order to the first tick', unit: 's', digits: 2 },
      ours: of(({ firstTickMs }) => firstTickMs / 1000),
      goal: atMost(isRehearsed ? 1.5 : 5),
    }),
    measuredRow({
      ...{ ...common, metric: 'fetched until then', unit: 'MB', digits: 1 },
      ours: of(({ secondsBytes }) => secondsBytes / 1e6),
    }),
    measuredRow({
      ...{ ...common, metric: 'ticks in the 5th second after the order', unit: '% of normal', digits: 0 },
      ours: of(({ fifthSecondTicks }) => (fifthSecondTicks / ticksPerS) * 100),
      goal: atLeast(50),
    }),
  ]
}

export async function measureAgain(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const source = await kept(rig)
    const { dock, link } = await otherDock(rig, source)
    const first = await restoreOn(dock, source.checkpointId)
    await first.whole()
    await first.end()
    const fetched: number[] = []
    const added: number[] = []
    for (let round = 0; round < times.incrementals; round += 1) {
      await wait(lightWorkMs)
      const { checkpoint } = await keepCheckpoint(source.dock, source.guestId)
      const before = link.bytes.down
      const again = await restoreOn(dock, checkpoint.id)
      await again.whole()
      fetched.push((link.bytes.down - before) / 1e6)
      added.push(checkpoint.addedBytes / 1e6)
      await again.end()
      tell(`again: ${fetched.at(-1)?.toFixed(2)} MB fetched, ${added.at(-1)?.toFixed(2)} MB added`)
    }
    const ratios = fetched.map((value, at) => value / (added[at] ?? 1))
    const common = { case: 'again', link: linkWords, n: fetched.length }
    return [
      measuredRow({
        ...{ ...common, metric: 'fetched for a second checkpoint', unit: 'MB', digits: 2 },
        ours: median(fetched),
        peer: { name: 'what it added', value: median(added) },
      }),
      measuredRow({
        ...{ ...common, metric: 'fetched, of what it added', unit: '×', digits: 2 },
        ...{ ours: median(ratios), goal: atMost(1.25) },
      }),
    ]
  })
}

interface Source {
  dock: DockProcess
  guestId: string
  place: VaultPlace
  phrase: string
  checkpointId: string
}

/** A guest, kept in Azurite by a dock that reaches it directly. */
async function kept(rig: Rig): Promise<Source> {
  const { dock, guestId } = await rig.dockWithGuest()
  const place = await rig.azurePlace()
  const { phrase } = await dock.client.vault.create(place)
  const { checkpoint } = await keepCheckpoint(dock, guestId)
  return { dock, guestId, place, phrase, checkpointId: checkpoint.id }
}

/** A dock that has nothing yet but the phrase, at the other end of a home's line. */
async function otherDock(
  rig: Rig,
  { place, phrase, checkpointId }: Source,
): Promise<{ dock: DockProcess; link: Link }> {
  const far = await rig.behindLink(homeLink, place)
  const dock = await rig.dock()
  await dock.client.vault.open({ place: far.place, phrase })
  await dock.until('the list', (state) => state.checkpoints.some(({ id }) => id === checkpointId), 60_000)
  return { dock, link: far.link }
}

interface Restored {
  firstTickMs: number
  /** Over the link until then. */
  secondsBytes: number
  fifthSecondTicks: number
}

/** @param withBootFiles as where the guest, or one that boots from the same files, has been before */
async function restoreAnew(rig: Rig, source: Source, withBootFiles: boolean): Promise<Restored> {
  const { dock, link } = await otherDock(rig, source)
  if (withBootFiles) {
    const from = join(source.dock.ready.dataDir, 'boot')
    await cp(from, join(dock.ready.dataDir, 'boot'), { recursive: true })
  }
  const bytesBefore = link.bytes.down
  const restore = await restoreOn(dock, source.checkpointId, () => link.bytes.down - bytesBefore)
  const { witness, startedMs, firstTickMs, secondsBytes } = restore
  await wait(Math.max(0, startedMs + 5100 - performance.now()))
  const inFifth = witness.ticks.filter(({ atMs }) => atMs >= startedMs + 4000 && atMs < startedMs + 5000)
  await restore.whole()
  await assertWhole(witness)
  await restore.end()
  await rig.endDock(dock)
  return { firstTickMs, secondsBytes, fifthSecondTicks: inFifth.length }
}

/** Orders it, and listens for the guest from then on. @returns once it has ticked */
async function restoreOn(dock: DockProcess, checkpointId: string, bytes: () => number = () => 0) {
  const startedMs = performance.now()
  const { operationId, guestId } = await dock.client.checkpoints.restore({ checkpointId, as: 'copy' })
  const path = join(dock.runDir(guestId), 'witness.sock')
  const witness = await WitnessReader.connect(path, { connectTimeoutMs: bootTimeoutMs })
  await witness.waitForTicks(1, bootTimeoutMs)
  const firstTickMs = (witness.ticks[0]?.atMs ?? performance.now()) - startedMs
  return {
    ...{ witness, startedMs, firstTickMs, secondsBytes: bytes() },
    /** Until everything of it is here. */
    whole: async (): Promise<void> => {
      const { state } = await dock.operationEnd(operationId, 300_000)
      if (state.kind !== 'done') throw new Error(`a restore ended: ${JSON.stringify(state)}`)
    },
    end: async (): Promise<void> => {
      witness.close()
      await dock.client.guests.forceOff({ guestId })
    },
  }
}

async function forgetRehearsal(rig: Rig, place: VaultPlace, checkpointId: string): Promise<void> {
  const { store, close } = await openPlace(place, { azuriteFolder: rig.folder, ...openingParts })
  try {
    await store.remove(prefixes.warm + checkpointId)
  } finally {
    await close()
  }
}
