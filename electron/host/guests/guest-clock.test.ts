import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { silentLog } from '../../platform/log.ts'
import { FakeMonitor } from '../../qemu/capture/testing/fake-monitor.ts'
import { testDefinition } from '../../qemu/test-guests.ts'
import { setGuestClock } from './guest-clock.ts'

it('is set as soon as QEMU knows that there is an agent, and left alone where there is none', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wdock-clock-'))
  const path = join(folder, 'a')
  const asked: string[] = []
  const server = createServer((socket) => {
    socket.on('data', (chunk) => {
      const line = chunk.toString('latin1').replaceAll('\xff', '')
      asked.push(line)
      const id = /"id":(\d+)/.exec(line)?.[1]
      socket.write(Buffer.from(id === undefined ? '{"return": {}}\n' : `\xff{"return": ${id}}\n`, 'latin1'))
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const { monitor, qmp } = await FakeMonitor.open([7, 2])
  let looks = 0
  monitor.answers['query-chardev'] = () => {
    looks += 1
    return [{ label: 'agent', 'frontend-open': looks > 3 }]
  }
  let nowMs = 5_000
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms
    },
  }
  const sockets = { agent: path } as never
  await setGuestClock(testDefinition({ agent: true }), { qmp, sockets }, { clock, log: silentLog })
  expect([looks, asked.at(-1)]).toEqual([4, '{"execute":"guest-set-time","arguments":{"time":5750000000}}\n'])

  await setGuestClock(testDefinition(), { qmp, sockets }, { clock, log: silentLog })
  expect(looks).toBe(4)
  monitor.answers['query-chardev'] = () => [{ label: 'agent', 'frontend-open': false }]
  await setGuestClock(testDefinition({ agent: true }), { qmp, sockets }, { clock, log: silentLog })
  expect(asked.length).toBe(2)
  server.close()
  await rm(folder, { recursive: true })
})
