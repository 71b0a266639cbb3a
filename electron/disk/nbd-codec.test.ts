import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeGo,
  decodeHandshake,
  decodeInfo,
  decodeMetaContext,
  decodeMetaContextRequest,
  decodeOptionHeader,
  decodeOptionReplyHeader,
  encodeExportNameReply,
  encodeGo,
  encodeHandshake,
  encodeInfo,
  encodeMetaContext,
  encodeMetaContextRequest,
  encodeOption,
  encodeOptionReply,
} from './nbd-handshake-codec.ts'
import { chunkKind, readU64 } from './nbd-protocol.ts'
import {
  decodeBlockStatus,
  decodeError,
  decodeReplyHeader,
  decodeRequest,
  encodeBlockStatus,
  encodeDataHeader,
  encodeError,
  encodeHole,
  encodeRequest,
  encodeSimpleReply,
} from './nbd-transfer-codec.ts'

const u16 = fc.integer({ min: 0, max: 0xffff })
const u32 = fc.integer({ min: 0, max: 0xffffffff })
const cookie = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const offset = fc.maxSafeNat()
const name = fc.string({ unit: 'grapheme', maxLength: 40 })
const bytes = fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array))

describe('the messages of the NBD protocol', () => {
  it('have the bytes of the standard', () => {
    expect(encodeHandshake(3).toString('latin1')).toBe('NBDMAGICIHAVEOPT\0\x03')
    expect(encodeOption(7, Buffer.from('x')).toString('hex')).toBe('49484156454f5054000000070000000178')
    expect(encodeOptionReply(7, 1).toString('hex')).toBe('0003e889045565a9000000070000000100000000')
    const request = { flags: 8, command: 7, cookie: 0x0102030405060708n, offset: 2 ** 40 + 5, length: 4096 }
    expect(encodeRequest(request).toString('hex')).toBe(
      '25609513000800070102030405060708000001000000000500001000',
    )
    expect(encodeSimpleReply(22, 1n).toString('hex')).toBe('67446698000000160000000000000001')
    expect(encodeHole(1n, 512, 4096, true).toString('hex')).toBe(
      '668e33ef00010002' + '0000000000000001' + '0000000c' + '0000000000000200' + '00001000',
    )
    expect(encodeExportNameReply(1, 3, true).length).toBe(134)
  })

  it('are read as they were written: the handshake', () => {
    fc.assert(
      fc.property(u16, u32, u32, bytes, (flags, kind, reply, data) => {
        expect(decodeHandshake(encodeHandshake(flags))).toBe(flags)
        expect(decodeOptionHeader(encodeOption(kind, data))).toEqual({ option: kind, length: data.length })
        const header = { option: kind, reply, length: data.length }
        expect(decodeOptionReplyHeader(encodeOptionReply(kind, reply, data))).toEqual(header)
      }),
    )
  })

  it('are read as they were written: what options carry', () => {
    fc.assert(
      fc.property(name, fc.array(u16, { maxLength: 9 }), fc.array(name, { maxLength: 9 }), (...fields) => {
        const [exportName, infoKinds, queries] = fields
        expect(decodeGo(encodeGo({ exportName, infoKinds }))).toEqual({ exportName, infoKinds })
        const request = { exportName, queries }
        expect(decodeMetaContextRequest(encodeMetaContextRequest(request))).toEqual(request)
      }),
    )
    fc.assert(
      fc.property(u32, name, offset, u16, (id, text, sizeBytes, flags) => {
        expect(decodeMetaContext(encodeMetaContext(id, text))).toEqual({ id, name: text })
        const told = { kind: 'export', sizeBytes, flags } as const
        expect(decodeInfo(encodeInfo(told))).toEqual(told)
        expect(decodeInfo(encodeInfo({ kind: 'name', name: text }))).toEqual({ kind: 'name', name: text })
        const sizes = { kind: 'blockSize', minBytes: id, preferredBytes: flags, maxBytes: id } as const
        expect(decodeInfo(encodeInfo(sizes))).toEqual(sizes)
      }),
    )
  })

  it('are read as they were written: requests and answers', () => {
    fc.assert(
      fc.property(u16, u16, cookie, offset, u32, fc.boolean(), (flags, command, id, at, length, done) => {
        const request = { flags, command, cookie: id, offset: at, length }
        expect(decodeRequest(encodeRequest(request))).toEqual(request)
        expect(decodeReplyHeader(encodeSimpleReply(length, id))).toEqual({
          kind: 'simple',
          error: length,
          cookie: id,
        })
        const data = encodeDataHeader(id, at, Math.min(length, 2 ** 31), done)
        expect(decodeReplyHeader(data)).toEqual({
          kind: 'chunk',
          done,
          type: chunkKind.offsetData,
          cookie: id,
        })
        expect(data.readUInt32BE(16)).toBe(8 + Math.min(length, 2 ** 31))
        expect(readU64(data, 20)).toBe(at)
      }),
    )
  })

  it('are read as they were written: errors and extents', () => {
    const descriptor = fc.record({ length: fc.integer({ min: 1, max: 0xffffffff }), flags: u32 })
    fc.assert(
      fc.property(cookie, u32, name, fc.option(offset), (id, error, message, at) => {
        const chunk = encodeError(id, { error, message, offset: at }, true)
        expect(decodeError(chunk.readUInt16BE(6), chunk.subarray(20))).toEqual({ error, message, offset: at })
      }),
    )
    fc.assert(
      fc.property(
        cookie,
        u32,
        fc.array(descriptor, { minLength: 1, maxLength: 20 }),
        (id, contextId, list) => {
          const chunk = encodeBlockStatus(id, { contextId, descriptors: list }, true)
          expect(decodeBlockStatus(chunk.subarray(20))).toEqual({ contextId, descriptors: list })
        },
      ),
    )
  })

  it('are never misread: whatever the bytes, a decoder answers null or what they say', () => {
    const decoders = [decodeGo, decodeMetaContextRequest, decodeMetaContext, decodeInfo, decodeBlockStatus]
    fc.assert(
      fc.property(bytes, u16, (data, type) => {
        for (const decode of decoders) expect(() => decode(data)).not.toThrow()
        expect(() => decodeError(type, data)).not.toThrow()
      }),
      { numRuns: 500 },
    )
  })

  it('are refused when they are cut short or go on', () => {
    const go = encodeGo({ exportName: 'disk', infoKinds: [0, 3] })
    const meta = encodeMetaContextRequest({ exportName: 'disk', queries: ['base:allocation'] })
    for (let length = 0; length < go.length; length += 1) expect(decodeGo(go.subarray(0, length))).toBeNull()
    for (let length = 0; length < meta.length; length += 1) {
      expect(decodeMetaContextRequest(meta.subarray(0, length))).toBeNull()
    }
    expect(decodeGo(Buffer.concat([go, Buffer.from([0])]))).toBeNull()
    expect(decodeMetaContextRequest(Buffer.concat([meta, Buffer.from([0])]))).toBeNull()
  })

  it('take no time or memory for a number that is not followed by what it counts', () => {
    const lie = Buffer.concat([Buffer.alloc(4), Buffer.from('ffffffff', 'hex')])
    expect(decodeMetaContextRequest(lie)).toBeNull()
    expect(decodeGo(Buffer.from('ffffffff0000', 'hex'))).toBeNull()
    expect(decodeError(chunkKind.error, Buffer.from('00000005ffff', 'hex'))).toBeNull()
  })
})
