import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ErrorCode, WdockError } from '../../shared/errors/index.ts'
import { connectionError, type Refusal, type RefusedBy, refusalError, retryAfterMs } from './refusals.ts'
import type { AskedToWait } from './tries.ts'

const nowMs = Date.parse('2026-03-01T12:00:00Z')
const by: RefusedBy = {
  ...{ place: 'the container vault of the storage account mine', host: 'mine.blob.core.windows.net' },
  ...{ account: 'mine', container: 'vault', auth: 'key', accessEndsMs: null, name: 'packs/aa' },
}
const plain: Refusal = {
  ...{ status: 403, code: null, retryAfter: null, detail: 'no' },
  date: 'Sun, 01 Mar 2026 12:00:00 GMT',
}

describe('what a blob service refuses', () => {
  it.each([
    [403, 'AuthenticationFailed', 'store.wrong_key'],
    [403, 'AuthorizationFailure', 'store.access_refused'],
    [403, 'AuthorizationPermissionMismatch', 'store.access_too_narrow'],
    [403, 'AccountIsDisabled', 'store.account_disabled'],
    [403, 'InsufficientAccountPermissions', 'store.access_refused'],
    [403, 'KeyBasedAuthenticationNotPermitted', 'store.keys_disabled'],
    [403, 'PublicAccessNotPermitted', 'store.access_refused'],
    [403, null, 'store.access_refused'],
    [404, 'ContainerNotFound', 'store.no_container'],
    [404, 'BlobNotFound', 'store.missing'],
    [404, 'ResourceNotFound', 'store.no_account'],
    [409, 'ContainerBeingDeleted', 'store.busy'],
    [409, 'BlobImmutableDueToPolicy', 'store.immutable'],
    [409, 'BlobArchived', 'store.archived'],
    [412, 'LeaseIdMissing', 'store.locked'],
    [416, 'InvalidRange', 'store.short_read'],
    [429, 'TooManyRequests', 'store.busy'],
    [500, 'InternalError', 'store.busy'],
    [503, 'ServerBusy', 'store.busy'],
    [307, null, 'store.refused'],
  ] as [number, string | null, ErrorCode][])('is named: %d %s', (status, code, expected) => {
    expect(refusalError({ ...plain, status, code }, by, nowMs).code).toBe(expected)
  })

  it('is the clock of this PC, where that is over a quarter of an hour off, and says by how much', () => {
    const wrong = nowMs + 47 * 60_000
    for (const pcMs of [wrong, nowMs - 47 * 60_000]) {
      const error = refusalError({ ...plain, code: 'AuthenticationFailed' }, by, pcMs)
      expect(error.code).toBe('store.clock_wrong')
      expect(error.message).toContain('47 minutes')
    }
    // A SAS is signed with no time of this PC.
    const bySas: RefusedBy = { ...by, auth: 'sas' }
    expect(refusalError({ ...plain, code: 'AuthenticationFailed' }, bySas, wrong).code).toBe(
      'store.access_refused',
    )
  })

  it('is the end of an access link, by the clock of the service', () => {
    const bySas: RefusedBy = { ...by, auth: 'sas', accessEndsMs: nowMs - 1000 }
    const refusal = { ...plain, code: 'AuthenticationFailed' }
    expect(refusalError(refusal, bySas, nowMs + 86_400_000).code).toBe('store.access_expired')
    expect(refusalError(refusal, { ...bySas, accessEndsMs: nowMs + 1000 }, nowMs + 86_400_000).code).toBe(
      'store.access_refused',
    )
  })

  it('is a service too old for us, where it does not know our version', () => {
    const detail = 'The provided service version is not enabled on this storage account.'
    expect(refusalError({ ...plain, status: 400, code: 'InvalidHeaderValue', detail }, by, nowMs).code).toBe(
      'store.too_old',
    )
  })

  it('carries a pause that the service asks for, in seconds or as a date', () => {
    const seconds = refusalError({ ...plain, status: 503, retryAfter: '7' }, by, nowMs)
    expect((seconds.cause as AskedToWait).waitMs).toBe(7000)
    const until = 'Sun, 01 Mar 2026 12:00:30 GMT'
    // By the clock that wrote it, however wrong ours is.
    const date = refusalError({ ...plain, status: 503, retryAfter: until }, by, nowMs + 9e6)
    expect((date.cause as AskedToWait).waitMs).toBe(30_000)
    expect(refusalError({ ...plain, status: 503 }, by, nowMs).cause).toBeUndefined()
  })

  it('is a coded error with every word filled in, whatever a service answers', () => {
    const answer = fc.record({
      status: fc.integer({ min: 300, max: 599 }),
      code: fc.option(
        fc.oneof(fc.string(), fc.constantFrom('AuthenticationFailed', '__proto__', 'toString')),
      ),
      retryAfter: fc.option(fc.oneof(fc.string(), fc.nat().map(String))),
      date: fc.option(fc.string()),
      detail: fc.string(),
    })
    fc.assert(
      fc.property(answer, fc.constantFrom('key', 'sas'), (refusal, auth) => {
        const error = refusalError(refusal, { ...by, auth }, nowMs)
        expect(error).toBeInstanceOf(WdockError)
        expect(error.message + error.fix).not.toMatch(/\{\w+\}/)
      }),
    )
  })

  it('asks for a pause that is a number and not negative, whatever the header says', () => {
    fc.assert(
      fc.property(fc.option(fc.string()), fc.option(fc.string()), (header, date) => {
        expect(retryAfterMs(header, date, nowMs)).toBeGreaterThanOrEqual(0)
      }),
    )
  })
})

describe('connections that fail', () => {
  it.each([
    ['ECONNREFUSED', 'store.unreachable'],
    ['ENETUNREACH', 'store.unreachable'],
    ['EAI_AGAIN', 'store.unreachable'],
    ['ENOTFOUND', 'store.unknown_host'],
    ['ECONNRESET', 'store.cut'],
    ['HPE_INVALID_CONSTANT', 'store.cut'],
    ['CERT_HAS_EXPIRED', 'store.untrusted'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'store.untrusted'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'store.untrusted'],
    ['', 'store.unreachable'],
  ] as [string, ErrorCode][])('are named: %s', (code, expected) => {
    const error = connectionError(code, 'it failed', by)
    expect(error.code).toBe(expected)
    expect(error.message).not.toMatch(/\{\w+\}/)
  })
})
