/**
 * Figures 7 to 9 of SyncOS in our form: for how long a guest stands still when its state is kept across a link, against how
 * much it has in memory. The paper's way, stop and copy, beside ours, which sends behind the running guest. The paper says
 * "3G" and "Wi-Fi" without a rate: 2 Mbit/s with 100 ms and 70 Mbit/s with 10 ms are taken for them. Downtime is the worst
 * gap between the guest's ticks.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import type { BenchRow } from '../lib/report.ts'
import { keepCheckpoint } from './keep.ts'
import { Link, type LinkShape } from './link.ts'
import { PlainGuest, type Stopped } from './plain-guest.ts'
import { measuredRow, type Repetitions } from './plan.ts'
import { askGuest, freePort, type Rig, withRig } from './rig.ts'
import { worstGap } from './stall.ts'

interface FigureLink {
  name: string
  shape: LinkShape
}

/** The fast one first: it tells how much there is to send. */
const links: readonly FigureLink[] = [
  { name: 'Wi-Fi-like, 70 Mbit/s', shape: { bitsPerS: 70e6, roundTripMs: 10 } },
  { name: '3G-like, 2 Mbit/s', shape: { bitsPerS: 2e6, roundTripMs: 100 } },
]

/** Room for the largest fill, beside a Linux of about 100 MB. */
const guestMebibytes = 1024
/** Ours is looked at for so long while its upload goes on. */
const uploadMs = 5000
const restMs = 2000

interface Point {
  megabytes: number
  link: string
  downtimeS: number
  stateBytes: number
  isComputed: boolean
}

export async function measureFigures(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const { dock, guestId } = await rig.dockWithGuest(guestMebibytes)
    await dock.client.guests.pause({ guestId })
    const theirs = await stopAndCopy(rig, dock, guestId, times, tell)
    await dock.client.guests.resume({ guestId })
    const ours = await checkpoints(rig, dock, guestId, times, tell)
    return theirs.flatMap((point) => {
      const own = ours.find(({ megabytes, link }) => megabytes === point.megabytes && link === point.link)
      return own === undefined ? [] : [rowOf(own, point)]
    })
  })
}

function rowOf(ours: Point, theirs: Point): BenchRow {
  const state = `${(theirs.stateBytes / 1e6).toFixed(0)} MB in all`
  return measuredRow({
    ...{ case: 'figures', unit: 's', digits: 3, n: 1 },
    ...{ link: ours.link, load: `${ours.megabytes} MB`, metric: `downtime, ${state}` },
    ours: ours.downtimeS,
    peer: { name: theirs.isComputed ? computedName : measuredName, value: theirs.downtimeS },
  })
}

const measuredName = 'stop and copy'
const computedName = 'stop and copy, from its measured rate'

async function stopAndCopy(
  rig: Rig,
  model: DockProcess,
  guestId: string,
  times: Repetitions,
  tell: (text: string) => void,
): Promise<Point[]> {
  const sinkPort = await freePort()
  const folder = join(rig.folder, 'p')
  await mkdir(folder)
  const peer = await PlainGuest.start(model, guestId, folder, sinkPort)
  const points: Point[] = []
  try {
    await forEachSize(times, async (megabytes, more) => {
      await peer.fill(more)
      let known: Stopped | null = null
      for (const { name, shape } of links) {
        const link = await Link.open(shape, sinkPort)
        try {
          const stopped = await peer.stopAndCopy(link, shape.bitsPerS, known?.stateBytes ?? null)
          known ??= stopped
          points.push({ megabytes, link: name, ...stopped })
          tell(`stop and copy, ${megabytes} MB, ${name}: ${JSON.stringify(stopped)}`)
        } finally {
          await link.close()
        }
        await wait(restMs)
      }
    })
    return points
  } finally {
    await peer.end()
  }
}

async function checkpoints(
  rig: Rig,
  dock: DockProcess,
  guestId: string,
  times: Repetitions,
  tell: (text: string) => void,
): Promise<Point[]> {
  const { link, place } = await rig.behindLink({ bitsPerS: 1e9, roundTripMs: 0 }, await rig.azurePlace())
  await dock.client.vault.create(place)
  // The first of a guest is not one of many (docs/known-issues.md); the table of stalls has it.
  await keepCheckpoint(dock, guestId)
  const points: Point[] = []
  await forEachSize(times, async (megabytes, more) => {
    const answer = await askGuest(dock, guestId, `fill ${more}`)
    if (answer !== 'fill ok') throw new Error(`the guest answered: ${answer}`)
    for (const { name, shape } of links) {
      link.reshape(shape)
      await wait(restMs)
      const downtimeS = await downtimeOf(dock, guestId)
      points.push({ megabytes, link: name, downtimeS, stateBytes: 0, isComputed: false })
      tell(`checkpoint, ${megabytes} MB, ${name}: ${downtimeS.toFixed(3)} s`)
    }
  })
  return points
}

/** The guest's memory grows: `more` is to be added for each size. */
async function forEachSize(
  { figureMegabytes }: Repetitions,
  work: (megabytes: number, more: number) => Promise<void>,
): Promise<void> {
  let filled = 0
  for (const megabytes of figureMegabytes) {
    await work(megabytes, megabytes - filled)
    filled = megabytes
  }
}

/** While it is made, and for a while of its upload, which is given up then: each checkpoint has everything to send. */
async function downtimeOf(dock: DockProcess, guestId: string): Promise<number> {
  const witness = await dock.witness(guestId)
  try {
    await witness.waitForTicks(20)
    const { checkpoint, startedMs } = await keepCheckpoint(dock, guestId, 'kept')
    await wait(uploadMs)
    const gapMs = worstGap(witness, { fromMs: startedMs, toMs: performance.now() })
    await dock.client.checkpoints.remove({ checkpointId: checkpoint.id })
    return gapMs / 1000
  } finally {
    witness.close()
  }
}
