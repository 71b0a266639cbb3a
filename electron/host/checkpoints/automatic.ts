/**
 * Checkpoints that nobody asks for: every so many minutes, on low battery, before sleep, before a move, on quitting.
 * Promises one at a time, that a guest which is busy is left for later, that while one of a guest is still on its way
 * into the vault no further one is made at intervals, and that what fails again and again is tried ever less often.
 */
import { toWdockError } from '../../../shared/errors/index.ts'
import type { CheckpointReason, CheckpointRules } from '../../../shared/models/checkpoint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Guests } from '../guests/guests.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Operations, RunningOperation } from '../operations.ts'
import type { CheckpointList } from './checkpoint-list.ts'
import type { CheckpointMaker } from './make-checkpoint.ts'
import type { PowerState } from './power.ts'
import type { RuleBook } from './rules.ts'
import type { VaultDesk } from './vault-desk.ts'

export interface AutomaticParts {
  desk: Pick<VaultDesk, 'state'>
  guests: Pick<Guests, 'list'>
  operations: Pick<Operations, 'holding'>
  list: Pick<CheckpointList, 'of'>
  maker: Pick<CheckpointMaker, 'make' | 'makeBefore'>
  rules: Pick<RuleBook, 'of'>
  readPower: () => Promise<PowerState>
  /** Told at every look whether `beforeSleep` has anything to do. */
  followSleep?: (wanted: boolean) => void
  clock: Clock
  log: Log
}

type Occasion = 'onLowBattery' | 'beforeSleep' | 'onQuit'
const reasons: Record<Occasion, CheckpointReason> = {
  onLowBattery: 'low-battery',
  beforeSleep: 'sleep',
  onQuit: 'quit',
}

const lookEveryMs = 30_000
const minuteMs = 60_000
/** In percent. Desktops warn at 10 and act at 5: a checkpoint still has time to be sent. */
const lowBattery = 15
const recoveredBattery = 20
/** After the first failure in a row; then twice as long each time. */
const retryMs = 10 * minuteMs
const longestRetryMs = 6 * 60 * minuteMs

export class Automatic {
  readonly #parts: AutomaticParts
  readonly #ending = new AbortController()
  /** Guests whose last attempts failed: how many in a row, and when it may be tried again. */
  readonly #failing = new Map<string, { times: number; againAtMs: number }>()
  #wasLow = false

  constructor(parts: AutomaticParts) {
    this.#parts = parts
  }

  /** Begins to look, every half minute. */
  start(): void {
    void this.#run()
  }

  close(): void {
    this.#ending.abort()
  }

  /** Looks once at what is due. */
  async look(): Promise<void> {
    const { desk, guests, rules, followSleep } = this.#parts
    const isReady = desk.state.kind === 'ready'
    followSleep?.(isReady && guests.list().some(({ id }) => rules.of(id).beforeSleep))
    if (!isReady) return
    if (await this.#batteryJustLow()) await this.#all('onLowBattery')
    for (const guest of guests.list()) {
      if (this.#ending.signal.aborted) return
      if (this.#isDue(guest)) await this.#attempt(guest, 'interval')
    }
  }

  /** To be called when the PC is about to sleep. Resolves when all is kept, after `withinMs` at the latest. */
  async beforeSleep(withinMs: number): Promise<void> {
    await this.#within(this.#all('beforeSleep'), withinMs)
  }

  /** To be called while the host still works. Resolves when all is kept, after `withinMs` at the latest. */
  async onQuit(withinMs: number): Promise<void> {
    await this.#within(this.#all('onQuit'), withinMs)
  }

  /** Asked by docking when a guest is about to leave. @throws host.cancelled when the move was cancelled */
  async beforeMove(guest: LocalGuest, move: RunningOperation): Promise<void> {
    const { desk, rules, maker } = this.#parts
    if (desk.state.kind === 'none' || !rules.of(guest.id).beforeMove) return
    await maker.makeBefore(move, guest, 'before-move')
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts
    const { signal } = this.#ending
    for (;;) {
      await clock.sleep(lookEveryMs, signal).catch(() => {})
      if (signal.aborted) return
      await this.look().catch((error: unknown) => log.error('looking for due checkpoints failed', { error }))
    }
  }

  /** True once each time that the battery runs low. */
  async #batteryJustLow(): Promise<boolean> {
    const { onBattery, percent } = await this.#parts.readPower()
    const before = this.#wasLow
    if (!onBattery || (percent ?? 100) > recoveredBattery) this.#wasLow = false
    else if (percent !== null && percent <= lowBattery) this.#wasLow = true
    return this.#wasLow && !before
  }

  async #all(occasion: Occasion): Promise<void> {
    const { desk, guests, rules } = this.#parts
    if (desk.state.kind !== 'ready') return
    for (const guest of guests.list()) {
      const wanted = guest.state.kind === 'running' && rules.of(guest.id)[occasion]
      if (wanted && this.#isFree(guest)) await this.#attempt(guest, reasons[occasion])
    }
  }

  #isDue(guest: LocalGuest): boolean {
    const { rules, list, clock } = this.#parts
    const { everyMinutes }: CheckpointRules = rules.of(guest.id)
    if (everyMinutes === null || guest.state.kind !== 'running' || !this.#isFree(guest)) return false
    const nowMs = clock.nowMs()
    if ((this.#failing.get(guest.id)?.againAtMs ?? 0) > nowMs) return false
    const made = list.of(guest.id)
    if (made.some(({ place }) => place.kind === 'on-its-way')) return false
    // A clock that was set back must not stop them for good.
    const lastMs = Math.max(0, ...made.map(({ atMs }) => atMs).filter((atMs) => atMs <= nowMs))
    const sinceMs = Math.max(lastMs, guest.record.bootedAtMs ?? 0)
    return nowMs - sinceMs >= everyMinutes * minuteMs
  }

  #isFree(guest: LocalGuest): boolean {
    return this.#parts.operations.holding(guest.id) === null && guest.view().operationId === null
  }

  async #attempt(guest: LocalGuest, reason: CheckpointReason): Promise<void> {
    const { maker, clock, log } = this.#parts
    try {
      const error = await maker.make(guest.id, reason).ended
      if (error !== null) throw error
      this.#failing.delete(guest.id)
    } catch (thrown) {
      const error = toWdockError(thrown)
      log.warn('a checkpoint by itself failed', { guestId: guest.id, reason, error: error.toJSON() })
      if (error.code === 'host.cancelled') return
      const times = (this.#failing.get(guest.id)?.times ?? 0) + 1
      const waitMs = Math.min(longestRetryMs, retryMs * 2 ** (times - 1))
      this.#failing.set(guest.id, { times, againAtMs: clock.nowMs() + waitMs })
    }
  }

  async #within(work: Promise<void>, withinMs: number): Promise<void> {
    const over = new AbortController()
    const late = this.#parts.clock.sleep(withinMs, over.signal).catch(() => {})
    await Promise.race([work, late])
    over.abort()
  }
}
