/**
 * Pairing without sockets and clocks: the six digits and the state machine of one side. Promises that a side
 * is asked to store its peer only after both persons confirmed the same ceremony. Relies on `ceremony.ts` to
 * carry the messages. The why of commitment and code is in PROTOCOL.md, "Pairing".
 */
import { createHash } from 'node:crypto'
import { assertNever } from '../../shared/assert-never.ts'
import { type ErrorShape, fail } from '../../shared/errors/index.ts'
import type { PairingOutcome, PairingState } from './types.ts'

export const nonceBytes = 32
export const ceremonyTimeoutMs = 120_000

/** What the initiator sends before it may see the responder's nonce. */
export function commitmentOf(nonce: Uint8Array): string {
  return createHash('sha256').update('wdock-pairing/1 commitment\0').update(nonce).digest('hex')
}

export interface CodeInput {
  /** SHA-256 of the certificates. */
  initiatorHash: Uint8Array
  responderHash: Uint8Array
  initiatorNonce: Uint8Array
  responderNonce: Uint8Array
}

/** The six digits both persons compare. */
export function codeOf(input: CodeInput): string {
  const digest = createHash('sha256')
    .update('wdock-pairing/1 code\0')
    .update(input.initiatorHash)
    .update(input.responderHash)
    .update(input.initiatorNonce)
    .update(input.responderNonce)
    .digest()
  return (digest.readBigUInt64BE(0) % 1_000_000n).toString().padStart(6, '0')
}

/** One side of a ceremony. `storing`: both have confirmed, the peer is being written on both sides. */
export type CeremonyState =
  | { kind: 'waiting-for-peer' }
  | { kind: 'comparing'; code: string; confirmedThere: boolean }
  | { kind: 'confirmed-here'; code: string }
  | { kind: 'storing'; code: string; storedHere: boolean; storedThere: boolean }
  | { kind: 'ended'; outcome: PairingOutcome; error: ErrorShape | null }

export type CeremonyEvent =
  | { kind: 'code-known'; code: string }
  | { kind: 'confirmed-here' }
  | { kind: 'confirmed-there' }
  | { kind: 'stored-here' }
  | { kind: 'stored-there' }
  | { kind: 'refused-here' }
  | { kind: 'refused-there'; error: ErrorShape }
  | { kind: 'expired' }
  | { kind: 'failed'; error: ErrorShape }

/** What the side has to do on entering a state. */
export type CeremonyAction = 'send-confirm' | 'send-refuse' | 'store'

export interface CeremonyStep {
  state: CeremonyState
  actions: CeremonyAction[]
}

/** @throws dock.bad_message for an event that has no place in this state */
export function stepCeremony(state: CeremonyState, event: CeremonyEvent): CeremonyStep {
  if (state.kind === 'ended') return { state, actions: [] }
  switch (event.kind) {
    case 'code-known':
      if (state.kind !== 'waiting-for-peer') throw outOfTurn(event)
      return { state: { kind: 'comparing', code: event.code, confirmedThere: false }, actions: [] }
    case 'confirmed-here':
      return confirmHere(state)
    case 'confirmed-there':
      return confirmThere(state, event)
    case 'stored-here':
    case 'stored-there':
      return stored(state, event)
    case 'refused-here':
      return ended('refused', null, ['send-refuse'])
    case 'refused-there':
      return ended(event.error.code === 'pairing.refused' ? 'refused' : 'failed', event.error, [])
    case 'expired':
      return ended('timed-out', fail('pairing.timed_out').toJSON(), ['send-refuse'])
    case 'failed':
      return ended('failed', event.error, ['send-refuse'])
    default:
      return assertNever(event)
  }
}

function confirmHere(state: CeremonyState): CeremonyStep {
  if (state.kind !== 'comparing') return { state, actions: [] }
  const { code, confirmedThere } = state
  if (!confirmedThere) return { state: { kind: 'confirmed-here', code }, actions: ['send-confirm'] }
  return { state: storing(code), actions: ['send-confirm', 'store'] }
}

function confirmThere(state: CeremonyState, event: CeremonyEvent): CeremonyStep {
  if (state.kind === 'comparing' && !state.confirmedThere) {
    return { state: { ...state, confirmedThere: true }, actions: [] }
  }
  if (state.kind === 'confirmed-here') return { state: storing(state.code), actions: ['store'] }
  throw outOfTurn(event)
}

function stored(state: CeremonyState, event: CeremonyEvent): CeremonyStep {
  if (state.kind !== 'storing') throw outOfTurn(event)
  const storedHere = state.storedHere || event.kind === 'stored-here'
  const storedThere = state.storedThere || event.kind === 'stored-there'
  if (storedHere && storedThere) return ended('paired', null, [])
  return { state: { ...state, storedHere, storedThere }, actions: [] }
}

function storing(code: string): CeremonyState {
  return { kind: 'storing', code, storedHere: false, storedThere: false }
}

function ended(outcome: PairingOutcome, error: ErrorShape | null, actions: CeremonyAction[]): CeremonyStep {
  return { state: { kind: 'ended', outcome, error }, actions }
}

function outOfTurn(event: CeremonyEvent): Error {
  return fail('dock.bad_message', {}, { detail: `${event.kind} out of turn` })
}

/** What people see of a state. */
export function shownState(state: CeremonyState): PairingState {
  switch (state.kind) {
    case 'comparing':
      return { kind: 'comparing', code: state.code }
    case 'storing':
      return { kind: 'confirmed-here', code: state.code }
    case 'waiting-for-peer':
    case 'confirmed-here':
    case 'ended':
      return state
    default:
      return assertNever(state)
  }
}
