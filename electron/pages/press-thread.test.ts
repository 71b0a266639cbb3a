import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { framePages, openFrame } from './frame.ts'
import { batchFrames, type FrameBatch, framesOf, mostSealedBytes, pressBatch } from './frame-press.ts'
import { pageBytes } from './page-id.ts'
import { PressThread } from './press-thread.ts'

const packId = randomBytes(16)

function shared(bytes: number): Uint8Array<SharedArrayBuffer> {
  return new Uint8Array(new SharedArrayBuffer(bytes))
}

/** Half of its frames can be compressed. */
function batchOf(pageCount: number, firstOrdinal: number): FrameBatch {
  const pages = shared(pageCount * pageBytes)
  for (let page = 0; page < pageCount; page += 1) {
    const content = (page >> 4) % 2 === 0 ? randomBytes(pageBytes) : Buffer.alloc(pageBytes, `page ${page} `)
    pages.set(content, page * pageBytes)
  }
  const keys = randomBytes(framesOf(pageCount) * 32)
  return { pages, pageCount, packId, firstOrdinal, keys, sealed: shared(mostSealedBytes(pageCount)) }
}

const whole = batchFrames * framePages

describe('a press in a thread of its own', () => {
  it('makes the same of many batches as one in this thread', async () => {
    const press = new PressThread()
    const batches = [whole, whole, 37, 1, whole].map((pages, at) => batchOf(pages, at * batchFrames))
    const pressed = await Promise.all(batches.map((batch) => press.press(batch)))
    for (const [at, batch] of batches.entries()) {
      const again = { ...batch, sealed: shared(batch.sealed.length) }
      const sealedBytes = pressBatch(again)
      expect(pressed[at]).toEqual(sealedBytes)
      expect(Buffer.from(batch.sealed).equals(again.sealed)).toBe(true)
      let offset = 0
      for (const [frame, bytes] of sealedBytes.entries()) {
        const key = Buffer.from(batch.keys.subarray(frame * 32, frame * 32 + 32))
        const first = frame * framePages
        const count = Math.min(framePages, batch.pageCount - first)
        const name = { packId, ordinal: batch.firstOrdinal + frame }
        const opened = openFrame(key, name, Buffer.from(batch.sealed).subarray(offset, offset + bytes), count)
        expect(opened.equals(batch.pages.subarray(first * pageBytes, (first + count) * pageBytes))).toBe(true)
        offset += bytes
      }
    }
    await press.close()
  })

  it('fails what is under way and what comes later when it is closed', async () => {
    const press = new PressThread()
    const answer = expect(press.press(batchOf(whole, 0))).rejects.toMatchObject({ code: 'host.cancelled' })
    await press.close()
    await answer
    await expect(press.press(batchOf(1, 0))).rejects.toMatchObject({ code: 'host.cancelled' })
    await new PressThread().close()
  })

  it('tells of a batch that cannot be pressed, and goes on', async () => {
    const press = new PressThread()
    const broken = { ...batchOf(whole, 0), keys: Buffer.alloc(5) }
    await expect(press.press(broken)).rejects.toThrow()
    expect(await press.press(batchOf(whole, 0))).toHaveLength(batchFrames)
    await press.close()
  })
})
