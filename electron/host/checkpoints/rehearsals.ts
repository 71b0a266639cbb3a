/**
 * When checkpoints are rehearsed: after they have arrived in the vault, one at a time, while this PC has nothing else to
 * do and runs on mains. Promises that work which begins meanwhile ends a rehearsal at once, that it is tried again
 * later, and that of several checkpoints of a guest only the newest is rehearsed.
 */
import { toWdockError } from '../../../shared/errors/index.ts'
import type { CheckpointId } from '../../../shared/models/checkpoint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { hasEnded } from '../operations.ts'
import type { StateStore } from '../state-store.ts'
import type { PowerState } from './power.ts'
import type { Unrehearsed } from './rehearse.ts'
import type { VaultDesk } from './vault-desk.ts'

export interface RehearsalsParts {
  desk: Pick<VaultDesk, 'onEvent' | 'state'>
  store: Pick<StateStore, 'state'>
  /** Does it. Ends soon after `signal` fires. */
  rehearse: (checkpointId: CheckpointId, signal: AbortSignal) => Promise<Unrehearsed | null>
  /** Removes what an earlier host may have left. */
  clear: () => Promise<void>
  readPower: () => Promise<PowerState>
  clock: Clock
  log: Log
}

const lookEveryMs = 2000
/** How soon other work is noticed. */
const yieldEveryMs = 200
/** A store that does not answer, a QEMU that does not start: then that checkpoint is restored without a rehearsal. */
const mostTries = 3

export class Rehearsals {
  readonly #parts: RehearsalsParts
  readonly #ending = new AbortController()
  readonly #stopListening: () => void
  /** By guest: its newest checkpoint, and how often it was tried. */
  readonly #waiting = new Map<string, { checkpointId: CheckpointId; tries: number }>()
  #running: Promise<void> = Promise.resolve()

  constructor(parts: RehearsalsParts) {
    this.#parts = parts
    this.#stopListening = parts.desk.onEvent((event) => {
      if (event.type !== 'upload.published') return
      const { guestId, id } = event.checkpoint
      this.#waiting.set(guestId, { checkpointId: id, tries: 0 })
    })
  }

  /** Begins to look for what can be rehearsed. Never fails. */
  start(): void {
    this.#running = this.#run()
  }

  /** Resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#stopListening()
    this.#ending.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, clear, log } = this.#parts
    const { signal } = this.#ending
    await clear().catch((error: unknown) => log.warn('a rehearsal of before was not cleared', { error }))
    while (!signal.aborted) {
      await clock.sleep(lookEveryMs, signal).catch(() => {})
      if (!signal.aborted) await this.look()
    }
  }

  /** Rehearses one checkpoint if there is one and the moment is right. Never fails. */
  async look(): Promise<void> {
    const [first] = this.#waiting
    if (first === undefined || !(await this.#isGoodMoment())) return
    const [guestId, waiting] = first
    this.#waiting.delete(guestId)
    const { rehearse, log } = this.#parts
    const { checkpointId } = waiting
    const over = new AbortController()
    const yielding = this.#yieldToWork(over)
    try {
      const why = await rehearse(checkpointId, AbortSignal.any([over.signal, this.#ending.signal]))
      log.info('a checkpoint was rehearsed', { checkpointId, why })
    } catch (error) {
      const tries = waiting.tries + (over.signal.aborted ? 0 : 1)
      // A newer one may have come meanwhile.
      if (tries < mostTries && !this.#waiting.has(guestId))
        this.#waiting.set(guestId, { checkpointId, tries })
      if (!over.signal.aborted)
        log.info('a checkpoint was not rehearsed', { checkpointId, error: toWdockError(error).toJSON() })
    } finally {
      over.abort()
      await yielding
    }
  }

  async #isGoodMoment(): Promise<boolean> {
    const { desk, readPower } = this.#parts
    return desk.state.kind === 'ready' && !this.#isBusy() && !(await readPower()).onBattery
  }

  #isBusy(): boolean {
    return this.#parts.store.state.operations.some((operation) => !hasEnded(operation))
  }

  async #yieldToWork(over: AbortController): Promise<void> {
    while (!over.signal.aborted) {
      await this.#parts.clock.sleep(yieldEveryMs, over.signal).catch(() => {})
      if (this.#isBusy()) over.abort()
    }
  }
}
