/** A real QEMU that sends its memory once over, and is as it was afterwards. */
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { silentLog } from '../../platform/log.ts'
import type { QemuProcess } from '../process.ts'
import {
  cont,
  queryMigrateCapabilities,
  queryMigrateParameters,
  queryNamedBlockNodes,
  queryStatus,
  stop,
} from '../qmp/commands.ts'
import { QemuBench, testSpec } from '../test-guests.ts'
import { startReceiver } from './testing/receiver.ts'
import { trickleMemory } from './trickle.ts'

let bench: QemuBench
let qemu: QemuProcess
let found: unknown
let socketPath: string
let count = 0

/** Everything that a capture or a move could trip over. */
async function asItIs(): Promise<unknown> {
  const { qmp } = qemu
  const on = (await queryMigrateCapabilities(qmp)).filter(({ state }) => state)
  return {
    // Without these events nobody would be told how a migration goes; they are left on.
    capabilities: on.map(({ capability }) => capability).filter((name) => name !== 'events'),
    parameters: await queryMigrateParameters(qmp),
    nodes: (await queryNamedBlockNodes(qmp)).map((node) => node['node-name']),
    status: await queryStatus(qmp),
  }
}

beforeAll(async () => {
  bench = await QemuBench.make()
  qemu = await bench.start(testSpec(await bench.folder('one')))
  found = await asItIs()
})
afterAll(async () => await bench.end())
beforeEach(() => {
  count += 1
  socketPath = join(bench.dir, `out-${count}.sock`)
})

function trickle(pace: number, signal = new AbortController().signal): Promise<boolean> {
  const look = (): number => pace
  return trickleMemory(qemu.qmp, {
    ...{ socketPath, firstPace: pace, look, lookEveryMs: 50, signal, log: silentLog },
  })
}

describe('memory that trickles', () => {
  it('is sent once over, and the guest runs on as if nothing had been', async () => {
    const receiver = await startReceiver(socketPath)
    expect(await trickle(64e6)).toBe(true)
    expect((await receiver.ended).bytes).toBeGreaterThan(100_000)
    expect(await asItIs()).toEqual(found)
  })

  it('ends at once when it is told to', async () => {
    const receiver = await startReceiver(socketPath)
    const over = new AbortController()
    const running = trickle(20_000, over.signal)
    await receiver.firstPart
    over.abort()
    expect(await running).toBe(false)
    await receiver.ended
    expect(await asItIs()).toEqual(found)
    expect(await trickle(20_000, over.signal)).toBe(false)
    expect(await asItIs()).toEqual(found)
  })

  it('fails when nobody takes it any more, and the guest runs on', async () => {
    const receiver = await startReceiver(socketPath)
    const running = trickle(20_000)
    const failed = expect(running).rejects.toMatchObject({ code: 'qemu.migration_failed' })
    await receiver.firstPart
    await receiver.kill()
    await failed
    expect(await asItIs()).toEqual(found)
  })

  it('is not taken of a guest that stands still', async () => {
    await stop(qemu.qmp)
    await expect(trickle(64e6)).rejects.toMatchObject({ code: 'qemu.cannot_capture' })
    await cont(qemu.qmp)
    expect(await asItIs()).toEqual(found)
  })
})
