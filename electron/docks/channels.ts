/**
 * Channels: one TLS 1.3 connection each, between two docks that both present their certificates. Promises
 * that a dialled channel leads to the expected dock before a byte is sent over it, and that all channels of
 * a dock can be counted and cut at once. Relies on certificates being checked by hash (see PROTOCOL.md):
 * OpenSSL proves possession of the key, and we look up the hash.
 */
import { connect as connectTcp } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { fail, type WdockError } from '../../shared/errors/index.ts'
import { type Address, formatAddress } from './address.ts'
import { dockIdOf } from './dock-id.ts'
import type { Identity } from './identity.ts'
import type { StreamUse } from './types.ts'

export const pairingAlpn = 'wdock-pairing/1'
export const controlAlpn = 'wdock-control/1'

const streamUses: readonly StreamUse[] = ['disk', 'memory', 'screen', 'layer']

export const allAlpns: readonly string[] = [pairingAlpn, controlAlpn, ...streamUses.map(streamAlpn)]

export const dialTimeoutMs = 5000
export const firstFrameTimeoutMs = 5000
export const keepAliveDelayMs = 10_000
export const maxChannelsOfDock = 64

export function streamAlpn(use: StreamUse): string {
  return `wdock-${use}/1`
}

/** The use that an ALPN name stands for, or null for control, pairing and strangers. */
export function streamUseOf(alpn: string): StreamUse | null {
  return streamUses.find((use) => streamAlpn(use) === alpn) ?? null
}

/** A channel whose far end has proved who it is. */
export interface Channel {
  socket: TLSSocket
  dockId: string
  /** SHA-256 input: the DER bytes of the far certificate. */
  certificate: Buffer
}

export interface DialOptions {
  identity: Identity
  address: Address
  alpn: string
  /** Null only to learn who answers, on the pairing channel. */
  expectedId: string | null
  /** For sentences to people. */
  dockName: string
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
}

/**
 * Opens a channel.
 * @throws dock.unreachable, dock.silent after the timeout (default 5 s), dock.identity_changed, host.cancelled
 */
export function dial(options: DialOptions): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const { address, signal } = options
    const raw = connectTcp({
      host: address.host,
      port: address.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveDelayMs,
    })
    const socket = connectTls({
      socket: raw,
      servername: '',
      ALPNProtocols: [options.alpn],
      cert: options.identity.certificatePem,
      key: options.identity.privateKeyPem,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      rejectUnauthorized: false,
    })
    const settle = (error: WdockError | null): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      socket.off('close', onClose)
      socket.off('secureConnect', onSecure)
      guard(socket)
      if (error === null) return
      socket.destroy()
      reject(error)
    }
    const unreachable = (detail: string): WdockError =>
      fail('dock.unreachable', { dock: options.dockName }, { detail: `${formatAddress(address)}: ${detail}` })
    const onError = (error: Error): void => settle(unreachable(error.message))
    const onClose = (): void => settle(unreachable('closed during the handshake'))
    const onAbort = (): void => settle(fail('host.cancelled'))
    const onSecure = (): void => {
      const verified = verify(socket, options)
      settle(verified instanceof Error ? verified : null)
      if (!(verified instanceof Error)) resolve(verified)
    }
    const onTimeout = (): void => settle(unreachable('no answer in time'))
    const timer = setTimeout(onTimeout, options.timeoutMs ?? dialTimeoutMs)
    socket.on('error', onError).on('close', onClose).on('secureConnect', onSecure)
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted) onAbort()
  })
}

function verify(socket: TLSSocket, options: DialOptions): Channel | WdockError {
  const certificate = socket.getPeerX509Certificate()?.raw
  const detail = formatAddress(options.address)
  if (certificate === undefined || socket.alpnProtocol !== options.alpn || socket.isSessionReused()) {
    return fail('dock.unreachable', { dock: options.dockName }, { detail: `${detail}: not a dock` })
  }
  const dockId = dockIdOf(certificate)
  if (options.expectedId !== null && dockId !== options.expectedId) {
    return fail('dock.identity_changed', {}, { detail: `${detail}: ${dockId}` })
  }
  return { socket, dockId, certificate }
}

/** A socket that fails while nobody listens must not end the process; `close` tells those who care. */
export function guard(socket: TLSSocket): void {
  socket.on('error', () => {})
}

/** Sockets that only say a last word: nothing they bring is looked at any more. */
const leaving = new WeakSet<TLSSocket>()

/** Ends after what is written has gone out; cuts a far end that does not end too. */
export function endSoon(socket: TLSSocket, graceMs = 1000): void {
  leaving.add(socket)
  socket.end()
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), graceMs)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}

/** All open channels by dock, to be cut when a pairing ends and to be asked for signs of life. */
export class ChannelRegistry {
  readonly #channels = new Map<string, Map<TLSSocket, number>>()
  readonly #isPeer: (dockId: string) => boolean

  constructor(isPeer: (dockId: string) => boolean) {
    this.#isPeer = isPeer
  }

  /** @returns false, and the socket destroyed, when the dock is no peer (any more) or has too many channels */
  add(dockId: string, socket: TLSSocket): boolean {
    const channels = this.#channels.get(dockId) ?? new Map<TLSSocket, number>()
    if (!this.#isPeer(dockId) || channels.size >= maxChannelsOfDock || socket.destroyed) {
      socket.destroy()
      return false
    }
    this.#channels.set(dockId, channels)
    channels.set(socket, 0)
    socket.once('close', () => {
      channels.delete(socket)
      if (channels.size === 0 && this.#channels.get(dockId) === channels) this.#channels.delete(dockId)
    })
    return true
  }

  count(dockId: string): number {
    return this.#channels.get(dockId)?.size ?? 0
  }

  /** True when any channel of the dock has brought bytes since the last call. */
  tookBytes(dockId: string): boolean {
    const channels = this.#channels.get(dockId)
    if (channels === undefined) return false
    let took = false
    for (const [socket, seenBytes] of channels) {
      if (socket.bytesRead <= seenBytes) continue
      channels.set(socket, socket.bytesRead)
      took = true
    }
    return took
  }

  /** Destroys every channel of the dock now, but for those that are saying their last word. */
  cut(dockId: string): void {
    for (const socket of [...(this.#channels.get(dockId)?.keys() ?? [])]) {
      if (!leaving.has(socket)) socket.destroy()
    }
  }

  /** Destroys all channels of all docks. */
  cutAll(): void {
    for (const channels of [...this.#channels.values()]) {
      for (const socket of [...channels.keys()]) socket.destroy()
    }
  }
}
