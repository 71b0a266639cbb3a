/**
 * The public words of this room: what the host sees of docks, pairings and channels. Promises only data and
 * function shapes; relies on `shared/errors` for the form in which failures are told.
 */
import type { Duplex } from 'node:stream'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Random } from '../platform/random.ts'

/** What is known of another dock. `nearby`: seen by discovery or typed in, not paired. */
export interface PeerInfo {
  /** Lower-case base32 of the SHA-256 of the dock's certificate, 52 characters. */
  id: string
  name: string
  paired: boolean
  state: 'online' | 'offline' | 'nearby'
  /** `host:port` where it was last met (`[v6]:port`), or null. */
  address: string | null
  /** Wall-clock milliseconds, or null when never seen. */
  lastSeenAtMs: number | null
  /** Round trip of the last heartbeat, or null when not online. */
  linkRttMs: number | null
  appVersion: string | null
  /** A person allows this dock to keep guests ready there. */
  keepsReady: boolean
}

export type PairingState =
  | { kind: 'waiting-for-peer' }
  | { kind: 'comparing'; code: string }
  | { kind: 'confirmed-here'; code: string }
  | { kind: 'ended'; outcome: PairingOutcome; error: ErrorShape | null }

export type PairingOutcome = 'paired' | 'refused' | 'timed-out' | 'failed'

/** One pairing ceremony, running or just ended. */
export interface PairingInfo {
  id: string
  dockId: string
  dockName: string
  role: 'initiator' | 'responder'
  state: PairingState
  startedAtMs: number
  expiresAtMs: number
}

export type StreamUse = 'disk' | 'memory' | 'screen' | 'layer'

/** Who is at the other end: its proven id and the name it goes by. */
export interface From {
  dockId: string
  name: string
}

export type RequestHandler = (from: From, params: unknown, signal: AbortSignal) => Promise<unknown>
/** Throws to refuse; otherwise returns what takes the stream once the far end has been told. */
export type StreamHandler = (from: From, header: unknown) => Promise<(stream: Duplex) => void>
export type EventListener = (from: From, data: unknown) => void

export interface CallOptions {
  /** Default 10 000. */
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
}

export interface DiscoveryOptions {
  /** Names of the network interfaces to use, such as `eth0`; all real ones when empty. */
  interfaces: string[]
}

export interface DockNetOptions {
  configDir: string
  /** The dock's name until `setName` stores another; default: the host name. */
  name?: string | undefined
  /** 0 or absent: any free port. */
  port?: number | undefined
  /** Address to listen on; default all. */
  bindAddress?: string | undefined
  discovery: boolean | DiscoveryOptions
  log: Log
  clock: Clock
  random: Random
  appVersion: string
}
