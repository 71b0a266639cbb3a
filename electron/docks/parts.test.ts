import { X509Certificate } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { duplexPair, PassThrough } from 'node:stream'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { systemRandom } from '../platform/random.ts'
import { formatAddress, parseAddress } from './address.ts'
import { dockIdOf, dockIdSchema } from './dock-id.ts'
import { encodeFrame, FrameSplitter, readFrame } from './framing.ts'
import { openIdentity } from './identity.ts'
import { Listeners } from './listeners.ts'
import { Peers } from './peers.ts'
import { pipeDuplex } from './pipe.ts'
import { RateLimit } from './rate-limit.ts'
import { TestDocks, TurnableClock } from './testing/docks.ts'

const docks = new TestDocks()
afterEach(() => docks.dispose())

describe('frames', () => {
  it('come out as they went in, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (values, cuts) => {
          const bytes = Buffer.concat(values.map((value) => encodeFrame(value, 1 << 20)))
          const splitter = new FrameSplitter(1 << 20)
          const out: unknown[] = []
          for (let offset = 0, turn = 0; offset < bytes.length; turn += 1) {
            const end = offset + (cuts[turn % cuts.length] ?? 1)
            out.push(...splitter.push(bytes.subarray(offset, end)))
            offset = end
          }
          expect(JSON.stringify(out)).toBe(JSON.stringify(values))
        },
      ),
    )
  })

  it('are read one at a time, leaving what follows in the stream', async () => {
    const stream = new PassThrough()
    stream.write(Buffer.concat([encodeFrame({ n: 1 }, 100), Buffer.from('the rest')]))
    const options = { limitBytes: 100, timeoutMs: 1000, dock: 'x' }
    expect(await readFrame(stream, options)).toEqual({ n: 1 })
    expect(String(stream.read())).toBe('the rest')
    stream.end()
    await expect(readFrame(stream, options)).rejects.toMatchObject({ code: 'dock.link_lost' })
    await expect(readFrame(new PassThrough(), { ...options, timeoutMs: 20 })).rejects.toMatchObject({
      code: 'dock.silent',
    })
  })
})

describe('the identity', () => {
  it('is the hash of a certificate that OpenSSL accepts, in a file for its owner alone', async () => {
    const folder = await docks.folder()
    const identity = await openIdentity(folder, systemRandom)
    const certificate = new X509Certificate(identity.certificatePem)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.validTo).toContain('9999')
    expect(identity.id).toBe(dockIdOf(certificate.raw))
    expect(dockIdSchema.safeParse(identity.id).success).toBe(true)
    expect((await stat(join(folder, 'identity.json'))).mode & 0o777).toBe(0o600)
    expect((await openIdentity(folder, systemRandom)).id).toBe(identity.id)
  })

  it('has base32 as RFC 4648 has it', () => {
    // SHA-256 of nothing, e3b0c442…b855.
    expect(dockIdOf(Buffer.alloc(0))).toBe('4oymiquy7qobjgx36tejs35zeqt24qpemsnzgtfeswmrw6csxbkq')
  })

  it('that is damaged is named and left as it is', async () => {
    const folder = await docks.folder()
    const other = await docks.folder()
    const path = join(folder, 'identity.json')
    await openIdentity(folder, systemRandom)
    await openIdentity(other, systemRandom)
    const good = JSON.parse(await readFile(path, 'utf8'))
    const foreign = JSON.parse(await readFile(join(other, 'identity.json'), 'utf8'))
    const damaged = [
      '',
      '{',
      JSON.stringify({ ...good, version: 2 }),
      JSON.stringify({ ...good, certificatePem: 'x' }),
      JSON.stringify({ ...good, privateKeyPem: foreign.privateKeyPem }),
    ]
    for (const content of damaged) {
      await writeFile(path, content)
      await expect(openIdentity(folder, systemRandom)).rejects.toMatchObject({
        code: 'host.state_unreadable',
      })
      expect(await readFile(path, 'utf8')).toBe(content)
    }
  })
})

describe('the list of peers', () => {
  it('is kept, forgets at once, and is not read when it is damaged', async () => {
    const folder = await docks.folder()
    const { id } = await openIdentity(folder, systemRandom)
    const peers = await Peers.open(folder)
    await peers.add({
      id,
      name: 'P',
      addresses: [],
      lastSeenAtMs: null,
      pairedAtMs: 1,
      appVersion: null,
      keepsReady: false,
    })
    for (let port = 1; port <= 6; port += 1) await peers.note(id, { lastSeenAtMs: port }, { host: 'h', port })
    const again = await Peers.open(folder)
    expect(again.get(id)?.addresses.map(({ port }) => port)).toEqual([6, 5, 4, 3])
    const removed = again.remove(id)
    expect(again.has(id)).toBe(false)
    await removed
    expect((await Peers.open(folder)).all()).toEqual([])
    await writeFile(join(folder, 'peers.json'), '{"version":9,"peers":[]}')
    await expect(Peers.open(folder)).rejects.toMatchObject({ code: 'host.state_unreadable' })
  })
})

describe('addresses', () => {
  it.each([
    ['pc.local', 'pc.local:7000'],
    ['pc:80', 'pc:80'],
    ['10.0.0.1:9', '10.0.0.1:9'],
    ['[fe80::1%eth0]:9', '[fe80::1%eth0]:9'],
    ['::1', '[::1]:7000'],
    [' [::1] ', '[::1]:7000'],
  ])('%s is understood', (text, formatted) => {
    expect(formatAddress(parseAddress(text, 7000))).toBe(formatted)
  })

  it.each(['', 'a b', 'http://x', 'x:0', 'x:65536', 'x:y', '[::1'])('%j is none', (text) => {
    expect(() => parseAddress(text, 7000)).toThrow(expect.objectContaining({ code: 'host.bad_input' }))
  })
})

describe('a rate limit', () => {
  it('allows so many in a period for each key, and remembers only keys that took some', () => {
    const clock = new TurnableClock()
    const limit = new RateLimit(3, 60_000, clock)
    expect([1, 2, 3, 4].map(() => limit.take('a'))).toEqual([true, true, true, false])
    expect(limit.exhausted('a')).toBe(true)
    expect(limit.take('b')).toBe(true)
    clock.turn(20_500)
    expect([limit.take('a'), limit.take('a')]).toEqual([true, false])
    for (let n = 0; n < 5000; n += 1) limit.take(`key ${n}`)
    expect(limit.take('one more')).toBe(false)
    clock.turn(60_000)
    expect(limit.take('one more')).toBe(true)
  })
})

describe('listeners', () => {
  it('go on when one throws', () => {
    const listeners = new Listeners<[number]>(silentLog)
    const heard: number[] = []
    listeners.add(() => {
      throw new Error('no')
    })
    const remove = listeners.add((n) => heard.push(n))
    listeners.tell(1)
    remove()
    listeners.tell(2)
    expect(heard).toEqual([1])
  })
})

describe('two joined streams', () => {
  it('carry both ways with half-close and count bytes', async () => {
    const [a, outerA] = duplexPair()
    const [b, outerB] = duplexPair()
    const joined = pipeDuplex(a, b)
    outerA.end('question')
    outerB.on('data', () => outerB.end('answer!'))
    outerA.resume()
    expect(await joined).toEqual({ aToB: 8, bToA: 7 })
  })

  it('fail together when one is lost', async () => {
    const [a] = duplexPair()
    const [b] = duplexPair()
    const joined = pipeDuplex(a, b)
    a.destroy()
    await expect(joined).rejects.toMatchObject({ code: 'dock.link_lost' })
    expect(b.destroyed).toBe(true)
  })

  it('do not read faster than the other side takes', async () => {
    const [a, outerA] = duplexPair()
    const [b] = duplexPair()
    pipeDuplex(a, b).catch(() => {})
    let written = 0
    const chunk = Buffer.alloc(10_000)
    while (outerA.write(chunk) && written < 10_000_000) {
      written += chunk.length
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(written).toBeLessThan(1_000_000)
    a.destroy()
  })

  it('settle when a socket that is not half-open has ended', async () => {
    const folder = await docks.folder()
    const path = join(folder, 's')
    const [channel, far] = duplexPair()
    const taken = new Promise<Socket>((resolve) => {
      const server = createServer((socket) => {
        server.close()
        resolve(socket)
      })
      server.listen(path)
    })
    const { connect } = await import('node:net')
    const client = connect(path)
    const joined = pipeDuplex(await taken, channel)
    client.end('x')
    far.resume().on('end', () => far.end())
    expect(await joined).toEqual({ aToB: 1, bToA: 0 })
  })
})
