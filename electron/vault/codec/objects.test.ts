/** The small objects of a vault: what goes in comes out, and what is not one of them is refused by name. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WdockError } from '../../../shared/errors/index.ts'
import { testSummary } from '../testing/summaries.ts'
import { noHash, testDockId } from '../testing/tables.ts'
import { decodeIntent, encodeIntent } from './intent.ts'
import { decodeLabel, encodeLabel } from './label.ts'
import { decodeIndex, encodeIndex } from './page-index-file.ts'
import { decodeProposal, encodeProposal } from './proposal.ts'
import { RegionHasher } from './region-hash.ts'
import { decodeSummary, encodeSummary } from './summary.ts'
import { decodeVerified, encodeVerified } from './verified.ts'
import { decodeWarm, encodeWarm } from './warm.ts'

const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'))

const { head } = testSummary('0123456789abcdef0123456789abcdef', {
  label: { name: 'Before the update', note: '', pinned: false },
})

const packContents = fc
  .record({
    packId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
    frames: fc.array(
      fc.record({ pages: fc.integer({ min: 1, max: 16 }), sealedBytes: fc.integer({ min: 17, max: 4112 }) }),
      {
        maxLength: 5,
      },
    ),
    fill: fc.nat(255),
  })
  .map(({ packId, frames, fill }) => ({
    packId,
    sealedBytes: Uint32Array.from(frames, (frame) => frame.sealedBytes),
    pages: Uint8Array.from(frames, (frame) => frame.pages),
    ids: Buffer.alloc(frames.reduce((sum, frame) => sum + frame.pages, 0) * 16, fill),
  }))

const instant = fc.nat({ max: 2e12 })

/** Every kind of object: something to write, and how. */
const kinds = {
  label: {
    value: fc.record({
      name: fc.constantFrom('', 'Name'),
      note: fc.constantFrom('', 'a\nb'),
      pinned: fc.boolean(),
    }),
    encode: encodeLabel,
    decode: decodeLabel,
  },
  intent: {
    value: fc.record({
      byDockId: fc.constant(testDockId),
      byDockName: fc.string({ maxLength: 40 }),
      guestId: fc.constant(head.guestId),
    }),
    encode: encodeIntent,
    decode: decodeIntent,
  },
  verified: {
    value: fc.record({
      atMs: instant,
      how: fc.constantFrom('listed' as const, 'read' as const),
      error: fc.constantFrom(null, { code: 'a', message: 'b', fix: 'c', permanent: true, detail: null }),
    }),
    encode: encodeVerified,
    decode: decodeVerified,
  },
  proposal: {
    value: fc.record({
      remove: fc.uniqueArray(id, { maxLength: 20 }),
      close: fc.uniqueArray(id, { maxLength: 20 }),
    }),
    encode: encodeProposal,
    decode: decodeProposal,
  },
  summary: {
    value: fc.record({
      head: fc.constant(head),
      picture: fc.option(fc.uint8Array({ minLength: 1, maxLength: 99 }).map((bytes) => Buffer.from(bytes))),
    }),
    encode: encodeSummary,
    decode: decodeSummary,
  },
  warm: {
    value: fc.record({
      recordedAtMs: instant,
      recordedForMs: instant,
      runs: fc.array(
        fc.record({ region: fc.nat(63), from: fc.nat(2 ** 20), count: fc.integer({ min: 1, max: 999 }) }),
      ),
    }),
    encode: encodeWarm,
    decode: decodeWarm,
  },
  index: {
    value: fc.array(packContents, { maxLength: 4 }),
    encode: encodeIndex,
    decode: (name: string, payload: Buffer) => [...decodeIndex(name, payload)],
  },
}

function codeOf(action: () => unknown): string {
  try {
    action()
    return 'read'
  } catch (error) {
    return error instanceof WdockError ? error.code : String(error)
  }
}

describe.each(Object.entries(kinds))('an object of the kind %s', (name, kind) => {
  const encode = kind.encode as (value: unknown) => Buffer
  const decode = kind.decode as (name: string, payload: Buffer) => unknown
  const value = kind.value as fc.Arbitrary<unknown>
  const named = ['read', 'vault.damaged_object', 'vault.newer_object']

  it('comes back as it was written', () => {
    fc.assert(
      fc.property(value, (each) => {
        expect(decode(name, encode(each))).toEqual(each)
      }),
      { numRuns: 30 },
    )
  })

  it('is refused by name, or still has its form, when a byte is changed or its end is cut off', () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (each, at, flip, cut) => {
        const payload = encode(each)
        const place = at % payload.length
        if (!cut) payload[place] = (payload[place] ?? 0) ^ flip
        expect(named).toContain(codeOf(() => decode(name, cut ? payload.subarray(0, place) : payload)))
      }),
      { numRuns: 60 },
    )
  })

  it('is refused by name, or has its form by chance, when it is garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(named).toContain(codeOf(() => decode(name, Buffer.from(bytes))))
      }),
      { numRuns: 60 },
    )
  })
})

describe('objects of version 1', () => {
  it('are still read', () => {
    const packed = `01${'11'.repeat(16)}02${'22'.repeat(16)}${'33'.repeat(16)}`
    const proposal = { remove: ['11'.repeat(16)], close: ['22'.repeat(16), '33'.repeat(16)] }
    expect(encodeProposal(proposal).toString('hex')).toBe(packed)
    expect(decodeProposal('sweeps/x', Buffer.from(packed, 'hex'))).toEqual(proposal)

    const index = `01${'33'.repeat(16)}02e80702${'44'.repeat(32)}1201${'55'.repeat(16)}`
    const [pack] = decodeIndex('index/x', Buffer.from(index, 'hex'))
    expect(pack).toEqual({
      packId: Buffer.alloc(16, 0x33),
      sealedBytes: Uint32Array.of(1000, 18),
      pages: Uint8Array.of(2, 1),
      ids: Buffer.concat([Buffer.alloc(32, 0x44), Buffer.alloc(16, 0x55)]),
    })
    expect(encodeIndex(pack ? [pack] : []).toString('hex')).toBe(index)

    const label = { name: 'A', note: 'b', pinned: true }
    const json = '{"version":1,"label":{"name":"A","note":"b","pinned":true}}'
    expect(encodeLabel(label).toString()).toBe(json)
    expect(decodeLabel('labels/x', Buffer.from(json))).toEqual(label)

    const warm = {
      recordedAtMs: 1,
      recordedForMs: 2,
      runs: [
        { region: 1, from: 5, count: 3 },
        { region: 1, from: 7, count: 1 },
      ],
    }
    const warmHex = encodeWarm(warm).toString('hex')
    expect(warmHex.endsWith('02' + '02020101' + '02020a01' + '02020301')).toBe(true)
  })

  it('are told apart from those of a newer version', () => {
    const newer = Buffer.from('{"version":2,"other":1}')
    expect(codeOf(() => decodeLabel('labels/x', newer))).toBe('vault.newer_object')
  })
})

describe('the hash of a region', () => {
  it('is that of its page ids in order, zeros and holes having ids of their own', () => {
    const hasher = new RegionHasher()
    hasher.page(Buffer.concat([Buffer.alloc(16, 9), Buffer.alloc(16, 1)]), 16)
    hasher.zeros(1025)
    hasher.holes(2)
    // sha256sum of 16 bytes of 01, 16400 of 00, 32 of ff.
    expect(hasher.finish()).toBe('1c039ba30a8b851b294f22d5829af2919da0e5548badc93b6ccf84a2df9c525b')
  })

  it('tells apart what differs in one page', () => {
    const hashOf = (make: (hasher: RegionHasher) => void) => {
      const hasher = new RegionHasher()
      make(hasher)
      return hasher.finish()
    }
    const all = [
      hashOf((hasher) => hasher.zeros(2)),
      hashOf((hasher) => hasher.holes(2)),
      hashOf((hasher) => hasher.zeros(3)),
      hashOf((hasher) => hasher.page(Buffer.from(noHash, 'hex'), 0)),
    ]
    expect(new Set(all).size).toBe(4)
  })
})
