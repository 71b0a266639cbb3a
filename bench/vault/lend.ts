/** How long a person waits for a link to a checkpoint; what it leads to is prepared behind it. */
import { setTimeout as wait } from 'node:timers/promises'
import { type BenchRow, median } from '../lib/report.ts'
import { keepCheckpoint } from './keep.ts'
import { atMost, measuredRow, type Repetitions } from './plan.ts'
import { withRig } from './rig.ts'

/** Each link is made while the one before is being prepared, as when somebody makes several. */
const betweenMs = 500
const twoHoursMs = 2 * 3600_000

export async function measureLink(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const { dock, guestId } = await rig.dockWithGuest()
    await dock.client.vault.create(await rig.azurePlace())
    const { checkpoint } = await keepCheckpoint(dock, guestId)
    const tookMs: number[] = []
    for (let round = 0; round < times.links; round += 1) {
      const startedMs = performance.now()
      const endMs = Date.now() + twoHoursMs
      await dock.client.lending.lend({ checkpointId: checkpoint.id, startMs: null, endMs })
      tookMs.push(performance.now() - startedMs)
      tell(`link: ${tookMs.at(-1)?.toFixed(0)} ms`)
      await wait(betweenMs)
    }
    return [
      measuredRow({
        ...{ case: 'link', metric: 'from the order to the link', unit: 's', digits: 3, n: tookMs.length },
        ...{ ours: median(tookMs) / 1000, goal: atMost(1) },
      }),
    ]
  })
}
