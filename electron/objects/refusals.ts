/**
 * Answers of a blob service that are no success, and connections that failed, as coded errors. Relies on
 * learn.microsoft.com, "Status and error codes" of the Blob service; where two services differ in a code (the emulator
 * says AuthorizationFailure for a wrong key), on the status. Nothing of a request is kept: it holds secrets.
 */
import { type ErrorCode, fail, type WdockError } from '../../shared/errors/index.ts'
import { AskedToWait } from './tries.ts'

/** Where an answer came from, as sentences need it. */
export interface RefusedBy {
  /** Begins a sentence. */
  place: string
  host: string
  account: string
  container: string
  auth: 'key' | 'sas'
  /** When a SAS ends, as it says itself; null where it does not. */
  accessEndsMs: number | null
  /** The object that was asked for; empty where it was none. */
  name: string
}

/** What counts of an answer. */
export interface Refusal {
  status: number
  /** `x-ms-error-code`. */
  code: string | null
  /** The header, in seconds or as a date. */
  retryAfter: string | null
  /** The header: the clock of the service. */
  date: string | null
  /** What it said, for people who look closer. */
  detail: string
}

/** Azure refuses what is signed with a time that is further off. */
const clockToleranceMs = 14 * 60_000

const byCode = new Map<string, ErrorCode>(
  Object.entries<ErrorCode>({
    AccountBeingCreated: 'store.busy',
    AccountIsDisabled: 'store.account_disabled',
    AuthorizationPermissionMismatch: 'store.access_too_narrow',
    AuthorizationProtocolMismatch: 'store.https_needed',
    AuthorizationResourceTypeMismatch: 'store.access_too_narrow',
    AuthorizationServiceMismatch: 'store.access_too_narrow',
    BlobArchived: 'store.archived',
    BlobBeingRehydrated: 'store.archived',
    BlobImmutableDueToPolicy: 'store.immutable',
    BlobNotFound: 'store.missing',
    ContainerBeingDeleted: 'store.busy',
    ContainerDisabled: 'store.account_disabled',
    ContainerNotFound: 'store.no_container',
    InsufficientAccountPermissions: 'store.access_refused',
    InvalidRange: 'store.short_read',
    KeyBasedAuthenticationNotPermitted: 'store.keys_disabled',
    LeaseAlreadyPresent: 'store.locked',
    LeaseIdMissing: 'store.locked',
    LeaseIdMismatchWithBlobOperation: 'store.locked',
    LeaseIdMismatchWithContainerOperation: 'store.locked',
  }),
)

export function refusalError(refusal: Refusal, by: RefusedBy, nowMs: number): WdockError {
  const values = {
    ...{ place: by.place, host: by.host, account: by.account, container: by.container },
    ...{ name: by.name, address: by.host },
  }
  const detail = `HTTP ${refusal.status}${refusal.code ? ` ${refusal.code}` : ''}: ${refusal.detail}`
  if (mayPass(refusal.status)) {
    const waitMs = retryAfterMs(refusal.retryAfter, refusal.date, nowMs)
    return fail('store.busy', values, { detail, ...(waitMs > 0 ? { cause: new AskedToWait(waitMs) } : {}) })
  }
  const skewMs = clockSkewMs(refusal.date, nowMs)
  if ((refusal.status === 403 || refusal.status === 401) && isAboutWho(refusal.code)) {
    if (by.auth === 'key' && Math.abs(skewMs) > clockToleranceMs) {
      return fail(
        'store.clock_wrong',
        { ...values, minutes: Math.round(Math.abs(skewMs) / 60_000) },
        { detail },
      )
    }
    return fail(notLetIn(refusal, by, nowMs - skewMs), values, { detail })
  }
  const saysVersion = refusal.status === 400 && /x-ms-version|service version/i.test(refusal.detail)
  if (saysVersion) return fail('store.too_old', values, { detail })
  // With the status that the source of the copy had.
  const isSourceMissing = refusal.code === 'CannotVerifyCopySource' && refusal.status === 404
  const named = isSourceMissing ? 'store.missing' : byCode.get(refusal.code ?? '')
  return fail(named ?? byStatus(refusal.status), values, { detail })
}

function mayPass(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505)
}

function isAboutWho(code: string | null): boolean {
  return code === null || code === 'AuthenticationFailed' || code === 'AuthorizationFailure'
}

function notLetIn(refusal: Refusal, by: RefusedBy, theirNowMs: number): ErrorCode {
  if (by.accessEndsMs !== null && theirNowMs >= by.accessEndsMs) return 'store.access_expired'
  const isSignature =
    refusal.code === 'AuthenticationFailed' || /failed to authenticate/i.test(refusal.detail)
  return by.auth === 'key' && isSignature ? 'store.wrong_key' : 'store.access_refused'
}

function byStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'store.access_refused'
  if (status === 404) return 'store.no_account'
  if (status === 412) return 'store.locked'
  if (status === 416) return 'store.short_read'
  return 'store.refused'
}

/** How far this PC's clock is ahead; 0 where the service did not tell its own. */
function clockSkewMs(date: string | null, nowMs: number): number {
  const theirsMs = date === null ? Number.NaN : Date.parse(date)
  return Number.isNaN(theirsMs) ? 0 : nowMs - theirsMs
}

/** RFC 9110 section 10.2.3. A date is read by the clock of who wrote it. */
export function retryAfterMs(header: string | null, date: string | null, nowMs: number): number {
  if (header === null) return 0
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1000
  const untilMs = Date.parse(header)
  const sinceMs = date === null ? nowMs : Date.parse(date)
  return Number.isNaN(untilMs) || Number.isNaN(sinceMs) ? 0 : Math.max(0, untilMs - sinceMs)
}

/** What Node calls a connection that did not come about, broke, or ended at the wrong host. */
const byConnection = new Map<string, ErrorCode>(
  Object.entries<ErrorCode>({
    ENOTFOUND: 'store.unknown_host',
    ECONNRESET: 'store.cut',
    EPIPE: 'store.cut',
    ECONNABORTED: 'store.cut',
    PARSE_ERROR: 'store.cut',
    EPROTO: 'store.untrusted',
    SELF_SIGNED_CERT_IN_CHAIN: 'store.untrusted',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'store.untrusted',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'store.untrusted',
    UNABLE_TO_GET_ISSUER_CERT: 'store.untrusted',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'store.untrusted',
    HOSTNAME_MISMATCH: 'store.untrusted',
  }),
)

/** A connection that failed; `code` as of Node's system, TLS and HTTP errors. */
export function connectionError(code: string, message: string, by: RefusedBy): WdockError {
  const isTls = /^(CERT_|ERR_TLS_|ERR_SSL_)/.test(code)
  const isHttp = /^HPE_/.test(code)
  const known =
    byConnection.get(code) ?? (isTls ? 'store.untrusted' : isHttp ? 'store.cut' : 'store.unreachable')
  const detail = [code, firstLine(message)].filter((part) => part !== '').join(': ')
  return fail(known, { place: by.place, host: by.host }, { detail })
}

/** What follows is a request's id, a time and, with some refusals, what the service wanted to be signed. */
export function firstLine(message: string): string {
  return message.split('\n', 1)[0]?.slice(0, 400) ?? ''
}
