import { createHash, randomBytes } from 'node:crypto'
import { constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isCode } from '../../shared/errors/index.ts'
import { openFrame, packFrame, sealBytes, sealFrame } from './frame.ts'
import { pageBytes } from './page-id.ts'
import { isZstdFrameOf } from './zstd-frame.ts'

const key = Buffer.from('56efc6f2512861a6a97e926b5db82895535033cb86223d0413728c3d11f756d6', 'hex')
const name = { packId: Buffer.from('f0e1d2c3b4a5968778695a4b3c2d1e0f', 'hex'), ordinal: 258 }

const pattern = Buffer.from(Array.from({ length: pageBytes }, (_, at) => (at * 7 + 3) & 255))
const twoPages = Buffer.concat([pattern, Buffer.alloc(pageBytes, 0xab)])
/** A page that cannot be compressed, always the same. */
const noise = Buffer.concat(
  Array.from({ length: pageBytes / 32 }, (_, at) => createHash('sha256').update(`page ${at}`).digest()),
)

/** Made with node:crypto and node:zlib alone, from the format's text; see `keys.test.ts` for the key. */
const sealedTwoPages = Buffer.from(
  '7ff88fff8dcffb016f6ae00ecf80e137669d3ecb8e57d3aa87311e8f5b254e50af917f699315535950100e5849bfbde51119c43621' +
    'ef5975dba0a1215cafdf78c3f671b1430192218ee738a512ac3e38ac08c333a9cd640a2c67c6466db0a9d93fe792e7b862c34198' +
    'a39000c495b4ecbf2096cb862220be10035100d51e945630cb54b9042c0ca613dcf722b12564b5d8b65a1f7f887cc0aca586994c' +
    '0c10129386987fa9f018668b0b86224cca975c9d700ab5b98857258208ae42a907895fb12edd317112ecdd47b9a048073c5a41fb' +
    'ea97a8c87cdb943f186273cff22c01ca902d71d89aec4346c28ef541ddadc02481d81826991b6d80c955af05891e7e653637bbff' +
    '463e797fb63f3958f61fc60511bee06e709412fd4a7e40880e5658e2bd540486c420d6e2',
  'hex',
)

async function open(sealed: Buffer, pages: number, of = name, withKey = key): Promise<Buffer> {
  return openFrame(withKey, of, sealed, pages)
}

async function refused(opening: Promise<Buffer>): Promise<void> {
  await expect(opening).rejects.toSatisfy((error) => isCode(error, 'vault.damaged_frame'))
}

describe('a frame', () => {
  it('opens as the format says', async () => {
    expect((await open(sealedTwoPages, 2)).equals(twoPages)).toBe(true)
  })

  it('whose pages do not compress is sealed as the format says', async () => {
    const sealed = sealFrame(key, name, packFrame(noise))
    expect(sealed.length).toBe(pageBytes + sealBytes)
    expect(createHash('sha256').update(sealed).digest('hex')).toBe(
      '5f0cc4e12bfa30982f979f854c6064eddc3d76200ae6cbd0d65dc3b5a6f6ba5b',
    )
    expect((await open(sealed, 1)).equals(noise)).toBe(true)
  })

  it('gives back its pages, of whatever kind they are', async () => {
    const page = fc.oneof(
      fc.nat(255).map((fill) => Buffer.alloc(pageBytes, fill)),
      fc.nat(1000).map((start) => Buffer.alloc(pageBytes, `text ${start} `)),
      fc.constant(noise),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(page, { minLength: 1, maxLength: 16 }), async (pages) => {
        const bytes = Buffer.concat(pages)
        const sealed = sealFrame(key, name, packFrame(bytes))
        expect((await open(sealed, pages.length)).equals(bytes)).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  it('is refused when any bit of it is another one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(sealedTwoPages.length - 1), fc.nat(7), async (at, bit) => {
        const changed = Buffer.from(sealedTwoPages)
        changed[at] = (changed[at] ?? 0) ^ (1 << bit)
        await refused(open(changed, 2))
      }),
      {
        numRuns: 60,
        examples: [
          0,
          1,
          100,
          sealedTwoPages.length - 17,
          sealedTwoPages.length - 16,
          sealedTwoPages.length - 1,
        ].map((at) => [at, 0]),
      },
    )
  })

  it('is refused cut short anywhere, or with something behind it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(sealedTwoPages.length - 1), (length) =>
        refused(open(sealedTwoPages.subarray(0, length), 2)),
      ),
      { numRuns: 30, examples: [[0], [16], [17], [sealedTwoPages.length - 1]] },
    )
    await refused(open(Buffer.concat([sealedTwoPages, Buffer.of(0)]), 2))
  })

  it('is refused in another place, under another key, and for another number of pages', async () => {
    await refused(open(sealedTwoPages, 2, { ...name, ordinal: 259 }))
    await refused(open(sealedTwoPages, 2, { ...name, packId: randomBytes(16) }))
    await refused(open(sealedTwoPages, 2, name, randomBytes(32)))
    for (const pages of [0, 1, 3, 16, 17, -1, 1.5, Number.NaN]) await refused(open(sealedTwoPages, pages))
  })

  it('says which pack is damaged, and where', async () => {
    await expect(open(sealedTwoPages, 2, { ...name, ordinal: 3 })).rejects.toMatchObject({
      message: 'Part 3 of the pack f0e1d2c3b4a5968778695a4b3c2d1e0f is damaged or was changed.',
      detail: 'its seal is broken',
    })
  })
})

/** Whoever lends a checkpoint has the keys of its frames, and may have sealed anything. */
describe('a frame that was sealed by somebody hostile', () => {
  const sealedAs = (content: Buffer) => sealFrame(key, name, content)

  it('is refused when it holds another number of pages than is listed', async () => {
    await refused(open(sealedAs(zstdCompressSync(twoPages)), 3))
    await refused(open(sealedAs(zstdCompressSync(twoPages)), 1))
    await refused(open(sealedAs(zstdCompressSync(Buffer.alloc(0))), 1))
  })

  it('is refused when it would decompress to more than it says', async () => {
    // One frame that claims 4096 bytes and is made of 1000 blocks of 128 KB of the same byte.
    const head = Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x0f)
    const blocks = Array.from({ length: 1000 }, (_, at) => {
      const block = Buffer.alloc(4)
      block.writeUIntLE((at === 999 ? 1 : 0) | (1 << 1) | ((128 * 1024) << 3), 0, 3)
      return block
    })
    const bomb = Buffer.concat([head, ...blocks])
    expect(isZstdFrameOf(bomb, pageBytes)).toBe(true)
    await refused(open(sealedAs(bomb), 1))
    await refused(open(sealedAs(zstdCompressSync(Buffer.alloc(10 * 1024 * 1024))), 1))
  })

  it('is refused when it is not one whole zstd frame, and the next frame opens all the same', async () => {
    const whole = zstdCompressSync(twoPages)
    const contents = [
      whole.subarray(0, whole.length - 1),
      whole.subarray(0, 20),
      Buffer.concat([whole, whole]),
      zstdCompressSync(twoPages, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } }),
      Buffer.from('not compressed at all'),
      randomBytes(300),
    ]
    for (const content of contents) {
      await refused(open(sealedAs(content), 2))
      expect((await open(sealedTwoPages, 2)).equals(twoPages)).toBe(true)
    }
  })
})
