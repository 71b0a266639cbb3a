/** Real sockets of this PC; what is asserted are lower bounds, which hold on a busy machine too. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Link } from './link.ts'

let link: Link | null = null
let server: Server | null = null

afterEach(async () => {
  await link?.close()
  server?.close()
})

/** A server that sends back what it gets, behind a link. */
async function echoBehind(bitsPerS: number, roundTripMs: number): Promise<Link> {
  server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  link = await Link.open({ bitsPerS, roundTripMs }, (server.address() as AddressInfo).port)
  return link
}

async function exchange(through: Link, bytes: Buffer): Promise<{ back: Buffer; ms: number }> {
  const startedMs = performance.now()
  const socket = connect({ port: through.port, host: '127.0.0.1' })
  socket.end(bytes)
  const parts: Buffer[] = []
  for await (const part of socket as AsyncIterable<Buffer>) parts.push(part)
  return { back: Buffer.concat(parts), ms: performance.now() - startedMs }
}

describe('a link', () => {
  it('brings every byte, in order, both ways, and counts them', async () => {
    const through = await echoBehind(400e6, 2)
    const bytes = Buffer.from(Uint8Array.from({ length: 1_500_000 }, (_, at) => (at * 7919) >>> 3))
    const { back } = await exchange(through, bytes)
    expect(back.equals(bytes)).toBe(true)
    expect(through.bytes).toEqual({ up: bytes.length, down: bytes.length })
  })

  it('takes a round trip for a connection and another for an answer', async () => {
    const { ms } = await exchange(await echoBehind(1e9, 60), Buffer.from('?'))
    expect(ms).toBeGreaterThanOrEqual(119)
  })

  it('shares its rate among its connections', async () => {
    const through = await echoBehind(8e6, 0)
    const all = await Promise.all([1, 2].map(() => exchange(through, Buffer.alloc(100_000, 1))))
    expect(Math.max(...all.map(({ ms }) => ms))).toBeGreaterThanOrEqual(199)
  })
})
