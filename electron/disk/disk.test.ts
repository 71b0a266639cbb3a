import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteReader, writeAll } from './byte-stream.ts'
import { progressIn } from './image.ts'
import { sniffBytes, sniffFormat } from './image-format.ts'

function head(...marks: readonly (readonly [number, string])[]): Buffer {
  const bytes = Buffer.alloc(sniffBytes)
  bytes.write('not zero', 300, 'latin1')
  for (const [offset, text] of marks) bytes.write(text, offset, 'latin1')
  return bytes
}

describe('the kind of an image', () => {
  it('is told from its first bytes', () => {
    expect(sniffFormat(head([0, 'QFI\xfb\0\0\0\x03']))).toEqual({ kind: 'image', format: 'qcow2' })
    expect(sniffFormat(head([510, '\x55\xaa']))).toEqual({ kind: 'image', format: 'raw' })
    expect(sniffFormat(head([1080, '\x53\xef']))).toEqual({ kind: 'image', format: 'raw' })
    expect(sniffFormat(Buffer.alloc(sniffBytes))).toEqual({ kind: 'image', format: 'raw' })
    expect(sniffFormat(head([0, 'KDMV']))).toEqual({ kind: 'foreign', name: 'VMDK' })
    expect(sniffFormat(head([0, 'QFI\xfb\0\0\0\x01']))).toEqual({ kind: 'foreign', name: 'QCOW version 1' })
    expect(sniffFormat(head())).toEqual({ kind: 'unknown' })
    expect(sniffFormat(Buffer.from('hello'))).toEqual({ kind: 'unknown' })
    expect(sniffFormat(new Uint8Array())).toEqual({ kind: 'unknown' })
  })

  it('is a qcow2 for whatever begins as one, so that a raw disk cannot pretend both', () => {
    expect(sniffFormat(head([0, 'QFI\xfb\0\0\0\x02'], [510, '\x55\xaa']))).toEqual({
      kind: 'image',
      format: 'qcow2',
    })
  })

  it('is found without an error in any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        expect(['image', 'foreign', 'unknown']).toContain(sniffFormat(bytes).kind)
      }),
    )
  })
})

describe('progress of qemu-img', () => {
  it('is the last one in a piece of output', () => {
    expect(progressIn('    (0.00/100%)\r    (12.50/100%)\r')).toBe(0.125)
    expect(progressIn('    (100.00/100%)\n')).toBe(1)
    expect(progressIn('nothing')).toBeNull()
  })
})

describe('reading counted bytes', () => {
  it('takes what was asked for and leaves the rest in the stream', async () => {
    const stream = new PassThrough()
    const reader = new ByteReader(stream)
    stream.write('abc')
    setImmediate(() => stream.write('defgh'))
    expect((await reader.readExactly(5)).toString()).toBe('abcde')
    reader.release()
    expect(stream.read().toString()).toBe('fgh')
  })

  it('ends by name when the stream ends, breaks, or the caller gives up', async () => {
    const ended = new PassThrough()
    const waiting = new ByteReader(ended).readExactly(2)
    ended.end('a')
    await expect(waiting).rejects.toMatchObject({ code: 'disk.transfer_cut' })

    const broken = new PassThrough()
    const alsoWaiting = new ByteReader(broken).readExactly(2)
    broken.destroy(new Error('reset'))
    await expect(alsoWaiting).rejects.toMatchObject({ code: 'disk.transfer_cut', detail: 'reset' })
    await expect(writeAll(broken, Buffer.of(1))).rejects.toMatchObject({ code: 'disk.transfer_cut' })

    const aborter = new AbortController()
    const given = new ByteReader(new PassThrough(), aborter.signal).readSome(1)
    aborter.abort()
    await expect(given).rejects.toMatchObject({ code: 'host.cancelled' })
  })

  it('writes no faster than the other side reads', async () => {
    const stream = new PassThrough({ highWaterMark: 4 })
    let written = false
    const writing = writeAll(stream, Buffer.alloc(10)).then(() => {
      written = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(written).toBe(false)
    stream.resume()
    await writing
    expect(written).toBe(true)
  })
})
