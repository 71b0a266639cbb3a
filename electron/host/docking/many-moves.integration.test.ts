/** Many moves between two real docks, one after the other and at the same time: all arrive, and nothing piles up. */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DockProcess } from '../../testing/dock-process.ts'
import { FaultRig } from '../../testing/fault-rig.ts'
import type { Holdings } from '../../testing/resource-probe.ts'

const probe = join(import.meta.dirname, '../../testing/resource-probe.ts')
const mebibyte = 1024 ** 2
/** Timers come and go and caches fill. Each dock sends five times and receives five times: a leak is larger. */
const slack = { descriptors: 3, active: 3, heapBytes: 4 * mebibyte, bufferBytes: 4 * mebibyte }
const slackResidentBytes = 24 * mebibyte

describe('many moves between two docks', () => {
  let rig: FaultRig
  let first: string
  let second: string
  const boots = new Map<string, string>()

  beforeAll(async () => {
    rig = await FaultRig.create({ env: { NODE_OPTIONS: `--import=${probe}` }, moreGuests: ['Other'] })
    first = rig.guestId
    second = rig.moreGuestIds[0] ?? ''
    boots.set(first, rig.boot)
    const witness = await rig.laptop.witness(second)
    boots.set(second, (await witness.waitForTicks(1)).boot)
    witness.close()
  }, 120_000)
  afterAll(async () => await rig?.destroy(), 60_000)

  async function begin(guestId: string, from: DockProcess, to: DockProcess): Promise<() => Promise<void>> {
    // What a busy machine takes its link for must not decide what is counted here.
    const transfer = 'plain' as const
    const request = { guestId, fromDockId: await from.dockId(), toDockId: await to.dockId(), transfer }
    const { operationId } = await from.client.migrations.start(request)
    return async () => {
      const { state } = await from.operationEnd(operationId)
      expect(state).toMatchObject({ kind: 'done' })
    }
  }

  async function expectAlive(guestId: string, dock: DockProcess, other: DockProcess): Promise<void> {
    expect(await other.guest(guestId)).toBeUndefined()
    const witness = await dock.witness(guestId)
    try {
      expect((await witness.waitForTicks(5)).boot).toBe(boots.get(guestId))
      // It finds what any move before has spoilt.
      expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true })
    } finally {
      witness.close()
    }
  }

  it('two guests move in the same direction at once, and both arrive whole', async () => {
    const { laptop, pc } = rig
    await rig.joined()
    const ends = await Promise.all([first, second].map((each) => begin(each, laptop, pc)))
    await Promise.all(ends.map((end) => end()))
    for (const each of [first, second]) {
      expect(await laptop.guest(each)).toBeUndefined()
      expect((await pc.guest(each))?.state.kind).toBe('running')
    }
  })

  it('two guests pass each other, and both arrive whole', async () => {
    const { laptop, pc } = rig
    await (await begin(second, pc, laptop))()
    const ends = await Promise.all([begin(first, pc, laptop), begin(second, laptop, pc)])
    await Promise.all(ends.map((end) => end()))
    await expectAlive(first, laptop, pc)
    await expectAlive(second, pc, laptop)
  })

  it('six more moves there and back leave no descriptor, timer, socket or memory behind in either host', async () => {
    const { laptop, pc } = rig
    await pc.client.guests.forceOff({ guestId: second })
    // It stands still, so that the moves are quick; every channel and process is as for one that runs.
    await laptop.client.guests.pause({ guestId: first })
    const before = [await holdings(laptop), await holdings(pc)]
    const filesBefore = [await runFiles(laptop), await runFiles(pc)]
    for (let move = 1; move <= 6; move += 1) await moveOn(move)
    const after = [await holdings(laptop), await holdings(pc)]
    expect([await runFiles(laptop), await runFiles(pc)]).toEqual(filesBefore)
    for (const [index, then] of before.entries()) {
      const now = after[index]
      if (now === undefined) throw new Error('there are two docks')
      expect(growth(then, now)).toEqual([])
    }
    await laptop.client.guests.resume({ guestId: first })
    await expectAlive(first, laptop, pc)
  })

  async function moveOn(move: number): Promise<void> {
    const [from, to] = move % 2 === 1 ? [rig.laptop, rig.pc] : [rig.pc, rig.laptop]
    await (await begin(first, from, to))()
  }
})

/** What a host holds. Twice, a moment apart: what was ending ends, and what weak references held goes. */
async function holdings(dock: DockProcess): Promise<Holdings> {
  await wait(500)
  await look(dock)
  return await look(dock)
}

async function look(dock: DockProcess): Promise<Holdings> {
  const path = join(dock.options.home, 'holdings.json')
  await rm(path, { force: true })
  process.kill(dock.ready.pid, 'SIGUSR2')
  for (const endMs = performance.now() + 5000; ; await wait(10)) {
    const text = await readFile(path, 'utf8').catch(() => null)
    if (text !== null) return JSON.parse(text) as Holdings
    if (performance.now() > endMs) throw new Error(`${dock.name} does not tell what it holds`)
  }
}

/** Everything below the folder of sockets, by path. */
async function runFiles(dock: DockProcess): Promise<string[]> {
  const files = await readdir(join(dock.runDir(''), '..'), { recursive: true })
  return files.sort()
}

/** What has grown by more than its slack, in words; and what Node itself warned of. */
function growth(before: Holdings, after: Holdings): string[] {
  const total = ({ active }: Holdings): number => Object.values(active).reduce((sum, count) => sum + count, 0)
  const grown = [
    ['descriptors', before.descriptors, after.descriptors, slack.descriptors],
    ['active resources', total(before), total(after), slack.active],
    ['heap', before.heapBytes, after.heapBytes, slack.heapBytes],
    ['buffers', before.bufferBytes, after.bufferBytes, slack.bufferBytes],
    ['resident memory', before.residentBytes, after.residentBytes, slackResidentBytes],
  ] as const
  return [
    ...grown.flatMap(([what, then, now, more]) => (now - then > more ? [`${what}: ${then}, ${now}`] : [])),
    ...after.warnings,
  ]
}
