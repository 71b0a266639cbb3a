import { randomBytes } from 'node:crypto'
import { constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isZstdFrameOf } from './zstd-frame.ts'

const sizes = [1, 4096, 8192, 65_536, 131_072]
const pieces = Array.from({ length: 60 }, (_, at) => {
  const size = sizes[at % sizes.length] ?? 1
  return at % 3 === 0 ? randomBytes(size) : Buffer.alloc(size, `piece ${at} `)
})

describe('the outside of a zstd frame', () => {
  it('is known of whatever zstd makes of up to 128 KiB, with and without a checksum', () => {
    for (const piece of pieces) {
      const checked = zstdCompressSync(piece, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
      for (const frame of [zstdCompressSync(piece), checked]) {
        expect(isZstdFrameOf(frame, piece.length)).toBe(true)
        expect(isZstdFrameOf(frame, piece.length + 1)).toBe(false)
        expect(isZstdFrameOf(frame.subarray(0, frame.length - 1), piece.length)).toBe(false)
        expect(isZstdFrameOf(Buffer.concat([frame, Buffer.of(0)]), piece.length)).toBe(false)
        expect(isZstdFrameOf(Buffer.concat([frame, frame]), piece.length)).toBe(false)
      }
    }
  })

  it('is not seen in one that does not state its size', () => {
    const frame = zstdCompressSync(Buffer.alloc(100), { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } })
    expect(isZstdFrameOf(frame, 100)).toBe(false)
  })

  it('is looked for in any bytes without ever failing', () => {
    const magic = Buffer.of(0x28, 0xb5, 0x2f, 0xfd)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(70_000), (bytes, length) => {
        isZstdFrameOf(Buffer.from(bytes), length)
        isZstdFrameOf(Buffer.concat([magic, bytes]), length)
      }),
      { numRuns: 300 },
    )
  })
})
