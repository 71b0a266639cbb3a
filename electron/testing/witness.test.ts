import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WitnessReader } from './witness.ts'

let folder: string
let path: string
let server: Server
let guest: Promise<Socket>
let reader: WitnessReader
let clockMs: number

const send = async (text: string) => {
  const socket = await guest
  await new Promise<void>((resolve) => socket.write(text, () => resolve()))
}
const tick = (n: number, record = 0) => `t 0123abcd ${n} ${record} 1 0\n`

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-witness-'))
  path = join(folder, 'port')
  clockMs = 0
  const { promise, resolve } = Promise.withResolvers<Socket>()
  guest = promise
  server = createServer(resolve)
  await new Promise<void>((listening) => server.listen(path, listening))
  reader = await WitnessReader.connect(path, { nowMs: () => clockMs })
})

afterEach(async () => {
  reader.close()
  const socket = await guest
  socket.destroy()
  await new Promise((closed) => server.close(closed))
  await rm(folder, { recursive: true, force: true })
})

describe('a witness reader', () => {
  it('reads ticks that arrive in pieces, with the time of their arrival', async () => {
    const two = reader.waitForTicks(2)
    clockMs = 10
    await send('t 0123abcd 7 3')
    await send(` 1 0\n${tick(8, 4)}`)
    expect(await two).toEqual({ boot: '0123abcd', tick: 8, record: 4, sweeps: 1, memoryErrors: 0, atMs: 10 })
    expect(reader.ticks.map((each) => each.tick)).toEqual([7, 8])
  })

  it('passes over a line whose beginning it did not see, and noise', async () => {
    const one = reader.waitForTicks(1)
    await send(`abcd 6 3 1 0\nt zzz\n\u0000\n${tick(9)}`)
    await one
    expect(reader.ticks.map((each) => each.tick)).toEqual([9])
  })

  it('tells the pause between neighbouring ticks within the time asked for', async () => {
    for (const [n, atMs] of [10, 20, 320, 330].entries()) {
      const one = reader.waitForTicks(1)
      clockMs = atMs
      await send(tick(n))
      await one
    }
    expect(reader.gaps(15).map((gap) => gap.lengthMs)).toEqual([300, 10])
    expect(reader.gaps(0, 25)).toEqual([{ fromMs: 10, lengthMs: 10 }])
  })

  it('gives answers to the questions in the order in which they were asked', async () => {
    const asked = [reader.ask('cpus'), reader.ask('mem')]
    await send(`= cpus 2\n${tick(1)}= mem 413196\n`)
    expect(await Promise.all(asked)).toEqual(['cpus 2', 'mem 413196'])
  })

  it('reads the verdict of a check', async () => {
    const checked = reader.check()
    await send('= check records=120 lost=0 torn=1 mem=bad memerrors=2\n')
    const expected = { records: 120, lost: 0, torn: 1, memoryIntact: false, memoryErrors: 2 }
    expect(await checked).toEqual(expected)
  })

  it('fails a question that nobody answers, and a late answer does not pass for the next', async () => {
    await expect(reader.ask('id', 20)).rejects.toThrow()
    const next = reader.ask('cpus')
    await send('= id late\n= cpus 1\n')
    expect(await next).toBe('cpus 1')
  })

  it('fails what waits, and what is asked later, when the guest goes away', async () => {
    const waiting = reader.waitForTicks(5)
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'host.unexpected' })
    ;(await guest).destroy()
    await outcome
    await expect(reader.ask('id')).rejects.toMatchObject({ code: 'host.unexpected' })
  })

  it('gives up on a socket that never appears', async () => {
    const nowhere = WitnessReader.connect(join(folder, 'nobody'), { connectTimeoutMs: 30 })
    await expect(nowhere).rejects.toMatchObject({ code: 'host.unexpected' })
  })
})
