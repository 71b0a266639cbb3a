import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { flushFileSystems, setGuestTime } from './agent.ts'

let folder = ''
let server: Server | null = null
const sockets = new Set<Socket>()
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-agent-'))
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)))
})
afterAll(async () => await rm(folder, { recursive: true }))

/** The guest's side: what it was asked, and what it answers to each line. */
async function agent(
  answers: (command: string, args: Record<string, unknown>) => string | Buffer | null,
  greeting: string | Buffer = '',
): Promise<{ path: string; asked: string[]; ended: Promise<void> }> {
  const path = join(folder, 'a')
  const asked: string[] = []
  const ended = Promise.withResolvers<void>()
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => ended.resolve())
    socket.write(greeting)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1').replaceAll('\xff', '')
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        asked.push(line)
        const { execute, arguments: args } = JSON.parse(line)
        const answer =
          execute === 'guest-sync-delimited' ? `\xff{"return": ${args.id}}` : answers(execute, args)
        if (answer !== null) socket.write(Buffer.concat([latin1(answer), latin1('\n')]))
      }
    })
  })
  await new Promise<void>((resolve) => server?.listen(path, resolve))
  return { path, asked, ended: ended.promise }
}

function latin1(text: string | Buffer): Buffer {
  return typeof text === 'string' ? Buffer.from(text, 'latin1') : text
}

describe('the agent in a guest', () => {
  it('is asked to freeze its file systems and to thaw them, in one breath', async () => {
    const { path, asked } = await agent(() => '{"return": 2}')
    await flushFileSystems(path)
    expect(asked.slice(1)).toEqual([
      '{"execute":"guest-fsfreeze-freeze","arguments":{}}',
      '{"execute":"guest-fsfreeze-thaw","arguments":{}}',
    ])
  })

  it('is asked to thaw although it refused to freeze, and says why it refused', async () => {
    const { path, asked, ended } = await agent((command) =>
      command === 'guest-fsfreeze-freeze'
        ? '{"error": {"class": "GenericError", "desc": "no such file system"}}'
        : '{"return": 0}',
    )
    await expect(flushFileSystems(path)).rejects.toMatchObject({
      code: 'guest.agent_refused',
      detail: 'no such file system',
    })
    expect(asked.at(-1)).toContain('guest-fsfreeze-thaw')
    await ended
  })

  it('gets the time in nanoseconds, to the last digit', async () => {
    const { path, asked } = await agent(() => '{"return": {}}')
    await setGuestTime(path, () => 1_795_378_965_123.4)
    expect(asked.at(-1)).toBe('{"execute":"guest-set-time","arguments":{"time":1795378965123000000}}')
  })

  it('is understood although an answer to somebody before stands in the way', async () => {
    const { path, asked } = await agent(() => '{"return": {}}', '"}]{"return": 17}\n{"return": "half of a li')
    await setGuestTime(path, () => 5)
    expect(asked.length).toBe(2)
  })

  it('that talks nonsense, too much or not at all is left alone, by name and in time', async () => {
    const nonsense = await agent(() => '<html>')
    await expect(setGuestTime(nonsense.path, () => 1)).rejects.toMatchObject({ code: 'guest.agent_refused' })
    await nonsense.ended
    server?.close()

    const flood = await agent(() => Buffer.alloc(200_000, 'x'))
    await expect(setGuestTime(flood.path, () => 1)).rejects.toMatchObject({ code: 'guest.agent_silent' })
    await flood.ended
    server?.close()

    await expect(setGuestTime(join(folder, 'nobody'), () => 1)).rejects.toMatchObject({
      code: 'guest.agent_silent',
    })
  })
})
