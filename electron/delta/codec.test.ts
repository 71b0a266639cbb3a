import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isCode } from '../../shared/errors/index.ts'
import {
  cutAt,
  device,
  opening,
  ramPart,
  ramStart,
  sampleSpecs,
  sampleStream,
  u8,
  u64,
} from '../qemu/stream/testing/sample-streams.ts'
import { limits } from './grammar.ts'
import type { FilePlace } from './known-files.ts'
import { KeptModel } from './testing/kept-model.ts'
import { pump } from './testing/pump.ts'
import { moveOf } from './testing/sample-move.ts'

const idKey = Buffer.alloc(32, 7)
const visits = () => randomBytes(16)

/** One visit, after which both sides keep what it brought. */
function visit(stream: Buffer, sender: KeptModel, receiver: KeptModel, cuts: readonly number[] = []) {
  const name = visits()
  const done = pump(cutAt(stream, cuts), { sender, receiver, visit: name, idKey })
  expect(done.stream.equals(stream)).toBe(true)
  if (done.encoder.isWhole) {
    expect(done.decoder.isWhole).toBe(true)
    sender.finish(name)
    receiver.finish(name)
    expect(sender.text).toBe(receiver.text)
  }
  return done
}

const noise = (count: number) => Array.from({ length: count }, () => randomBytes(4096))

describe('the codec', () => {
  it('rebuilds every stream byte for byte, on every visit, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(sampleSpecs, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat()),
        (specs, cuts) => {
          const docks = [new KeptModel(), new KeptModel()] as const
          for (const [index, spec] of specs.entries()) {
            const [sender, receiver] = index % 2 === 0 ? docks : ([docks[1], docks[0]] as const)
            visit(sampleStream(spec).bytes, sender, receiver, cuts)
          }
        },
      ),
      { numRuns: 80 },
    )
  })

  it('rebuilds what is no stream at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.array(fc.nat()), (bytes, cuts) => {
        const done = visit(Buffer.from(bytes), new KeptModel(), new KeptModel(), cuts)
        expect(done.encoder.isWhole).toBe(false)
      }),
    )
  })

  it('keeps what has come by the time a stream that may stop does', () => {
    const memory = noise(40)
    const stream = moveOf(memory)
    fc.assert(
      fc.property(fc.nat(stream.length - 70_000), fc.array(fc.nat()), (length, cuts) => {
        const [a, b] = [new KeptModel(), new KeptModel()]
        const name = visits()
        const options = { sender: a, receiver: b, visit: name, idKey, mayStop: true }
        const { encoder, decoder, stream: rebuilt } = pump(cutAt(stream.subarray(0, length), cuts), options)
        expect(decoder.isWhole).toBe(encoder.isWhole)
        if (!encoder.isWhole) {
          expect(encoder.stats.freshPages).toBe(0)
          return
        }
        a.finish(name)
        b.finish(name)
        expect(a.text).toBe(b.text)
        expect(stream.subarray(0, rebuilt.length).equals(rebuilt)).toBe(true)
        const come = encoder.stats.freshPages
        expect(visit(stream, a, b).encoder.stats).toMatchObject({ samePages: come, freshPages: 40 - come })
      }),
    )
  })

  it('sends almost nothing on a return, and what has changed as its difference', () => {
    const [a, b] = [new KeptModel(), new KeptModel()]
    const memory = noise(3000)
    const first = visit(moveOf(memory), a, b)
    expect(first.encoder.stats).toMatchObject({ freshPages: 3000, samePages: 0 })
    expect(first.forwardBytes).toBeGreaterThan(3000 * 4096)

    const changed = memory.map((page) => Buffer.from(page))
    changed[17]?.fill(9, 100, 110)
    const back = visit(moveOf(changed), b, a)
    expect(back.encoder.stats).toMatchObject({ freshPages: 0, samePages: 2999, deltaPages: 1 })
    expect(back.forwardBytes).toBeLessThan(4000)
  })

  it('sends a page once, wherever else it lies, and what changes again as its difference', () => {
    const pages = noise(4)
    const memory = [...pages, ...pages, Buffer.alloc(4096, 1), Buffer.alloc(4096, 1)]
    const again = Buffer.from(memory[1] ?? Buffer.alloc(4096))
    again[5] = (again[5] ?? 0) + 1
    const { encoder } = visit(moveOf(memory, new Map([[1, again]])), new KeptModel(), new KeptModel())
    expect(encoder.stats).toMatchObject({ freshPages: 5, heldPages: 5, deltaPages: 1 })
  })

  it('tells a dock that knows another visit what is there, and sends what is not', () => {
    const [a, b, c] = [new KeptModel(), new KeptModel(), new KeptModel()]
    const memory = noise(50)
    visit(moveOf(memory), a, b)
    visit(moveOf([...memory.slice(0, 40), ...noise(10)]), b, c)
    const { encoder } = visit(moveOf([...memory.slice(0, 40), ...noise(10)]), c, a)
    expect(encoder.stats).toMatchObject({ samePages: 40, freshPages: 10 })
    // The way back is a return again: what only the other side had is kept here, too.
    const back = visit(moveOf([...memory.slice(0, 40), ...noise(10)]), a, c)
    expect(back.encoder.stats).toMatchObject({ samePages: 40, freshPages: 10, repairedPages: 0 })
  })

  describe('with files that both docks have', () => {
    let folder: string
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'wdelta-'))
    })
    afterEach(async () => await rm(folder, { recursive: true, force: true }))

    const place = async (name: string, id: string, pages: readonly Buffer[]) => {
      const path = join(folder, name)
      await writeFile(path, Buffer.concat([...pages, Buffer.alloc(100, 1)]))
      return { id, path }
    }
    const move = (memory: readonly Buffer[], senderFiles: FilePlace[], receiverFiles: FilePlace[]) => {
      const [sender, receiver] = [new KeptModel(), new KeptModel()]
      const name = visits()
      const stream = moveOf(memory)
      const done = pump([stream], { sender, receiver, visit: name, idKey, senderFiles, receiverFiles })
      expect(done.stream.equals(stream)).toBe(true)
      sender.finish(name)
      receiver.finish(name)
      expect(sender.text).toBe(receiver.text)
      return done.encoder.stats
    }

    it('sends nothing of what the guest has read from them', async () => {
      const kernel = noise(50)
      const layer = noise(30)
      const memory = [...kernel.slice(10, 40), ...noise(5), ...layer]
      const here = [
        await place('k', 'kernel', kernel),
        await place('x', 'unknown', noise(3)),
        await place('l', 'layer', layer),
      ]
      const there = [await place('l2', 'layer', layer), await place('k2', 'kernel', kernel)]
      expect(move(memory, here, there)).toMatchObject({ filePages: 60, freshPages: 5, repairedPages: 0 })
    })

    it('fetches what differs in a file that goes by the same id', async () => {
      const kernel = noise(20)
      const here = [await place('k', 'kernel', kernel)]
      const there = [await place('k2', 'kernel', [...kernel.slice(0, 19), ...noise(1)])]
      expect(move(kernel, here, there)).toMatchObject({ filePages: 20, repairedPages: 1 })
    })

    it('uses none that is of another length, or cannot be read', async () => {
      const kernel = noise(20)
      const here = [await place('k', 'kernel', kernel), { id: 'gone', path: join(folder, 'gone') }]
      const there = [await place('k2', 'kernel', kernel.slice(0, 10))]
      expect(move(kernel, here, there)).toMatchObject({ filePages: 0, freshPages: 20 })
    })
  })

  it.each(['lost', 'flipped'] as const)('fetches pages that were %s where they were kept', (how) => {
    const [a, b] = [new KeptModel(), new KeptModel()]
    const memory = noise(1500)
    visit(moveOf(memory), a, b)
    for (const address of [0, 3, 700, 1499]) a.damage(address, how)
    const { encoder, decoder } = visit(moveOf(memory), b, a)
    expect(encoder.stats.repairedPages).toBe(4)
    expect(decoder.stats.repairedPages).toBe(4)
    // And they are whole again.
    expect(visit(moveOf(memory), b, a).encoder.stats.repairedPages).toBe(0)
  })

  it('mends what the sender believes wrongly, deltas included', () => {
    const [a, b] = [new KeptModel(), new KeptModel()]
    const memory = noise(20)
    visit(moveOf(memory), a, b)
    for (let page = 0; page < 20; page += 1) b.damage(page, 'flipped')
    const changed = memory.map((page) => Buffer.concat([page.subarray(0, 4000), Buffer.alloc(96, 1)]))
    const { encoder } = visit(moveOf(changed), b, a)
    expect(encoder.stats.repairedPages).toBeGreaterThan(0)
  })

  it('steps aside at any moment', () => {
    const stream = moveOf(noise(300))
    const pieces = cutAt(
      stream,
      Array.from({ length: 10 }, (_, index) => index * 100_000),
    )
    for (let asideAfter = 0; asideAfter < pieces.length; asideAfter += 1) {
      const options = {
        sender: new KeptModel(),
        receiver: new KeptModel(),
        visit: visits(),
        idKey,
        asideAfter,
      }
      const done = pump(pieces, options)
      expect(done.stream.equals(stream)).toBe(true)
      expect(done.encoder.isWhole || done.decoder.isWhole).toBe(false)
    }
  })

  it('fills batches to their limits', () => {
    const zeros = Array.from({ length: limits.zeroPages * 2 + 5 }, (_, page) => u64(page * 4096 + 0x22))
    const records = zeros.map((word, page) =>
      page === 0
        ? Buffer.concat([u64(0x02), u8(6), Buffer.from('pc.ram'), u8(0)])
        : Buffer.concat([word, u8(0)]),
    )
    const stream = Buffer.concat([
      opening(),
      ramStart([{ name: 'pc.ram', pages: zeros.length }]),
      ramPart(records, 3),
      device('cpu', randomBytes(900_000)),
      u8(0),
    ])
    const { encoder, forwardBytes } = visit(stream, new KeptModel(), new KeptModel(), [70_000, 200_000])
    expect(encoder.stats.zeroPages).toBe(zeros.length)
    expect(forwardBytes).toBeLessThan(910_000)
  })
})

describe('a hostile sender', () => {
  const memory = noise(40)
  const stream = moveOf([...memory, ...memory], new Map([[3, Buffer.alloc(4096, 2)]]))

  it('makes a named error of whatever it sends, or nothing at all', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (place, flip) => {
        let seen = 0
        const meddle = (bytes: Buffer): Buffer => {
          const from = seen
          seen += bytes.length
          if (place < from || place >= seen) return bytes
          const changed = Buffer.from(bytes)
          changed[place - from] = (changed[place - from] ?? 0) ^ flip
          return changed
        }
        try {
          const pieces = cutAt(stream, [1000, 50_000, 200_000])
          const options = {
            sender: new KeptModel(),
            receiver: new KeptModel(),
            visit: visits(),
            idKey,
            meddle,
          }
          const done = pump(pieces, options)
          // Where it went on to the end, what came out is right; a message that was never finished left it short.
          expect(stream.subarray(0, done.stream.length).equals(done.stream)).toBe(true)
        } catch (error) {
          expect(isCode(error, 'delta.bad_message')).toBe(true)
        }
      }),
      { numRuns: 150 },
    )
  })
})
