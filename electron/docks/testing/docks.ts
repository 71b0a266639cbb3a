/**
 * Docks for tests: on loopback, without discovery unless asked, in folders of their own. Promises that
 * `dispose` leaves neither sockets nor files.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { systemRandom } from '../../platform/random.ts'
import { DockNet } from '../dock-net.ts'
import { pairDirectly } from '../trust.ts'
import type { DockNetOptions } from '../types.ts'

export const loopback = '127.0.0.1'

export class TestDocks {
  readonly #folders: string[] = []
  readonly #docks: DockNet[] = []

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'wdock-docks-'))
    this.#folders.push(folder)
    return folder
  }

  async open(name: string, options: Partial<DockNetOptions> = {}): Promise<DockNet> {
    const dock = await DockNet.open({
      configDir: options.configDir ?? (await this.folder()),
      name,
      port: 0,
      bindAddress: loopback,
      discovery: false,
      log: silentLog,
      clock: systemClock,
      random: systemRandom,
      appVersion: '0.1.0',
      ...options,
    })
    this.#docks.push(dock)
    return dock
  }

  /** Two docks that are paired already, and the folders they live in. Neither knows an address. */
  async pair(
    options: Partial<DockNetOptions> = {},
  ): Promise<{ a: DockNet; b: DockNet; dirA: string; dirB: string }> {
    const dirA = await this.folder()
    const dirB = await this.folder()
    await pairDirectly({ configDir: dirA, name: 'Alpha' }, { configDir: dirB, name: 'Beta' })
    const a = await this.open('Alpha', { configDir: dirA, ...options })
    const b = await this.open('Beta', { configDir: dirB, ...options })
    return { a, b, dirA, dirB }
  }

  /** As `pair`, and online. */
  async linked(
    options: Partial<DockNetOptions> = {},
  ): Promise<{ a: DockNet; b: DockNet; dirA: string; dirB: string }> {
    const docks = await this.pair(options)
    await docks.a.connectByAddress(loopback, docks.b.port)
    await until(() => isOnline(docks.a, docks.b.id) && isOnline(docks.b, docks.a.id))
    return docks
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#docks.splice(0).map((dock) => dock.close()))
    for (const folder of this.#folders.splice(0)) await rm(folder, { recursive: true, force: true })
  }
}

export function isOnline(dock: DockNet, id: string): boolean {
  return dock.peers().some((peer) => peer.id === id && peer.state === 'online')
}

/** Waits for a condition; fails after `timeoutMs`. */
export async function until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not so within ${timeoutMs} ms: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A clock that tests can turn forward. */
export class TurnableClock implements Clock {
  #aheadMs = 0

  turn(durationMs: number): void {
    this.#aheadMs += durationMs
  }

  nowMs(): number {
    return systemClock.nowMs() + this.#aheadMs
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#aheadMs
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(durationMs, signal)
  }
}
