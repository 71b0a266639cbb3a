/**
 * Whether this PC is to spare its battery or its connection: work that nobody waits for rests then. Power is read from
 * Linux (checkpoints/power.ts). Whether a connection is metered is asked of NetworkManager over D-Bus by `gdbus`; where
 * that is not there, or does not know, it is taken for one that is not. Promises an answer soon, at most as old as
 * `rememberedMs`.
 */
import { fail, type WdockError } from '../../../../shared/errors/index.ts'
import type { Clock } from '../../../platform/clock.ts'
import { runTool } from '../../../platform/run-tool.ts'
import { readPower } from '../../checkpoints/power.ts'

export interface EconomyOptions {
  clock: Clock
  /** For tests. */
  onBattery?: () => Promise<boolean>
  isMetered?: () => Promise<boolean>
}

/** To ask takes a process of its own. */
const rememberedMs = 30_000

export class Economy {
  readonly #options: EconomyOptions
  #last: { atMs: number; is: Promise<'battery' | 'metered' | null> } | null = null

  constructor(options: EconomyOptions) {
    this.#options = options
  }

  /** @param dockName of this PC @returns why such work rests now; null where it may go on */
  async reason(dockName: string): Promise<WdockError | null> {
    const nowMs = this.#options.clock.monotonicMs()
    if (this.#last === null || nowMs - this.#last.atMs >= rememberedMs)
      this.#last = { atMs: nowMs, is: this.#look() }
    const is = await this.#last.is
    if (is === null) return null
    return fail(is === 'battery' ? 'warm.on_battery' : 'warm.metered', { dock: dockName })
  }

  async #look(): Promise<'battery' | 'metered' | null> {
    const { onBattery = readsBattery, isMetered = asksNetworkManager } = this.#options
    if (await onBattery()) return 'battery'
    return (await isMetered()) ? 'metered' : null
  }
}

async function readsBattery(): Promise<boolean> {
  return (await readPower()).onBattery
}

const manager = 'org.freedesktop.NetworkManager'
const metered = [
  'call',
  '--system',
  `--dest=${manager}`,
  '--object-path=/org/freedesktop/NetworkManager',
].concat(['--method=org.freedesktop.DBus.Properties.Get', manager, 'Metered'])
const withinMs = 1500

/** NMMetered: 1 yes, 3 it looks like it. @returns false where nobody knows */
async function asksNetworkManager(): Promise<boolean> {
  const result = await runTool('gdbus', metered, { timeoutMs: withinMs }).catch(() => null)
  return result !== null && result.code === 0 && saysMetered(result.stdout)
}

/** @param answer as gdbus prints it: `(<uint32 4>,)` */
export function saysMetered(answer: string): boolean {
  return /<uint32 [13]>/.test(answer)
}
