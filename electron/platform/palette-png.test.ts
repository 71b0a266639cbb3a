import { crc32, deflateSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withPalette } from './palette-png.ts'

interface Picture {
  width: number
  height: number
  /** RGB, row by row. */
  points: number[]
}

const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')

function chunk(type: string, data: Buffer): Buffer {
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(Buffer.concat([Buffer.from(type), data])))
  return Buffer.concat([length, Buffer.from(type), data, sum])
}

function pngOf(width: number, height: number, form: readonly number[], ...chunks: Buffer[]): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set(form, 8)
  return Buffer.concat([signature, chunk('IHDR', header), ...chunks, chunk('IEND', Buffer.alloc(0))])
}

function at(bytes: readonly number[], index: number): number {
  return index < 0 ? 0 : (bytes[index] ?? 0)
}

function paeth(a: number, b: number, c: number): number {
  const near = [a, b, c].map((value) => Math.abs(a + b - c - value))
  return [a, b, c][near.indexOf(Math.min(...near))] ?? 0
}

/** As QEMU writes it; row `y` with filter `filters[y]`. */
function truecolour({ width, height, points }: Picture, filters: readonly number[]): Buffer {
  const bytes = points.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255])
  const row = width * 3
  const rows = Array.from({ length: height }, (_, y) => {
    const filter = filters[y % filters.length] ?? 0
    const filtered = Array.from({ length: row }, (_, x) => {
      const here = y * row + x
      const a = x < 3 ? 0 : at(bytes, here - 3)
      const b = at(bytes, here - row)
      const c = x < 3 ? 0 : at(bytes, here - row - 3)
      const guessed = [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter] ?? 0
      return (at(bytes, here) - guessed) & 255
    })
    return [filter, ...filtered]
  })
  return pngOf(width, height, [8, 2, 0, 0, 0], chunk('IDAT', deflateSync(Buffer.from(rows.flat()))))
}

/** Reads what was made smaller: one IDAT, no filters. */
function paletted(png: Buffer): { picture: Picture; bits: number } {
  const parts = new Map<string, Buffer>()
  for (let from = 8; from < png.length; ) {
    const length = png.readUInt32BE(from)
    const body = png.subarray(from + 4, from + 8 + length)
    expect(png.readUInt32BE(from + 8 + length)).toBe(crc32(body))
    parts.set(body.toString('latin1', 0, 4), body.subarray(4))
    from += 12 + length
  }
  const part = (type: string): Buffer => parts.get(type) ?? expect.unreachable(type)
  const [header, palette, rows] = [part('IHDR'), part('PLTE'), inflateSync(part('IDAT'))]
  const [width, height, bits] = [header.readUInt32BE(0), header.readUInt32BE(4), header[8] ?? 0]
  expect([...header.subarray(9)]).toEqual([3, 0, 0, 0])
  const rowBytes = 1 + Math.ceil((width * bits) / 8)
  expect(rows.length).toBe(rowBytes * height)
  const points = Array.from({ length: width * height }, (_, point) => {
    const [x, y] = [point % width, Math.floor(point / width)]
    expect(rows[y * rowBytes]).toBe(0)
    const byte = rows[y * rowBytes + 1 + Math.floor((x * bits) / 8)] ?? 0
    const number = (byte >> (8 - bits - ((x * bits) % 8))) & (2 ** bits - 1)
    return palette.readUIntBE(number * 3, 3)
  })
  return { picture: { width, height, points }, bits }
}

/** Wide enough that a palette pays. */
const pictures = fc
  .record({
    width: fc.integer({ min: 61, max: 90 }),
    height: fc.integer({ min: 20, max: 30 }),
    colours: fc.uniqueArray(fc.integer({ min: 0, max: 0xffffff }), { minLength: 1, maxLength: 60 }),
    seed: fc.integer({ min: 1, max: 0x7fffffff }),
  })
  .map(({ width, height, colours, seed }): Picture => {
    let state = seed
    const next = (): number => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
      return state >> 8
    }
    return {
      width,
      height,
      points: Array.from({ length: width * height }, () => at(colours, next() % colours.length)),
    }
  })

describe('a palette for a picture', () => {
  it('changes no point, whatever filters it was written with', () => {
    const filters = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 7 })
    fc.assert(
      fc.property(pictures, filters, (picture, used) => {
        const png = truecolour(picture, used)
        const smaller = withPalette(png)
        if (smaller === png) return
        expect(smaller.length).toBeLessThan(png.length)
        expect(paletted(smaller).picture).toEqual(picture)
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    [2, 1],
    [4, 2],
    [16, 4],
    [17, 8],
    [256, 8],
  ])('takes as few bits as %i colours need', (colours, bits) => {
    const points = Array.from(
      { length: 120 * 40 },
      (_, point) => ((crc32(String(point)) % colours) * 0x123457) & 0xffffff,
    )
    const smaller = withPalette(truecolour({ width: 120, height: 40, points }, [1]))
    expect(paletted(smaller)).toEqual({ picture: { width: 120, height: 40, points }, bits })
  })

  it('leaves a picture of many colours as it is', () => {
    const points = Array.from({ length: 300 }, (_, point) => point)
    const png = truecolour({ width: 20, height: 15, points }, [0])
    expect(withPalette(png)).toBe(png)
  })

  const usual = truecolour(
    { width: 64, height: 8, points: Array.from({ length: 512 }, (_, i) => i % 3) },
    [4],
  )
  const rows = Buffer.alloc(8 * (1 + 64 * 3))
  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['no PNG', Buffer.from('GIF89a, and not a PNG at all')],
    ['one that was cut off', usual.subarray(0, -1)],
    ['bytes behind the end', Buffer.concat([usual, Buffer.alloc(1)])],
    ['a chunk longer than the rest', pngOf(8, 8, [8, 2, 0, 0, 0]).fill(0xff, 33, 37)],
    ['rows that are missing', pngOf(64, 9, [8, 2, 0, 0, 0], chunk('IDAT', deflateSync(rows)))],
    ['more rows than it says', pngOf(64, 7, [8, 2, 0, 0, 0], chunk('IDAT', deflateSync(rows)))],
    ['what does not unpack', pngOf(64, 8, [8, 2, 0, 0, 0], chunk('IDAT', rows))],
    [
      'an unknown filter',
      pngOf(64, 8, [8, 2, 0, 0, 0], chunk('IDAT', deflateSync(Buffer.alloc(rows.length, 9)))),
    ],
    ['another form', pngOf(64, 8, [8, 6, 0, 0, 0], chunk('IDAT', deflateSync(rows)))],
    ['interlacing', pngOf(64, 8, [8, 2, 0, 0, 1], chunk('IDAT', deflateSync(rows)))],
    [
      'chunks of its own',
      pngOf(64, 8, [8, 2, 0, 0, 0], chunk('tRNS', rows), chunk('IDAT', deflateSync(rows))),
    ],
    ['a size beyond all screens', pngOf(2 ** 31, 2 ** 31, [8, 2, 0, 0, 0], chunk('IDAT', deflateSync(rows)))],
  ])('leaves %s as it is', (_, png) => {
    expect(withPalette(png)).toBe(png)
  })
})
