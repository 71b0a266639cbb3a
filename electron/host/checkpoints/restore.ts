/**
 * Brings guests back from checkpoints, of this dock's vault or of a link: as the guest that it was, or as a new one.
 * Promises that what cannot work is refused before anything is changed, that a guest is on the list from the first
 * moment, and that a restore which this program did not live to finish is gone on with by the next one, or told as
 * failed where it cannot be. Relies on `restore-run.ts` for the work.
 */
import { fail, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import type { CheckpointId } from '../../../shared/models/checkpoint.ts'
import { newLayerId } from '../../disk/layers.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Random } from '../../platform/random.ts'
import type { BootFileStore } from '../guests/boot-files.ts'
import { randomMac } from '../guests/guest-creation.ts'
import type { GuestMachine } from '../guests/guest-environment.ts'
import type { UnfinishedRestore } from '../guests/guest-record.ts'
import type { Guests } from '../guests/guests.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Trash } from '../guests/trash.ts'
import { residentBytes } from '../memory.ts'
import type { Operations, RunningOperation } from '../operations.ts'
import type { StateStore } from '../state-store.ts'
import type { CaptureReport } from './capture-meter.ts'
import type { CheckpointMaker } from './make-checkpoint.ts'
import { copyName, freeName, restoredDefinition } from './restore-definition.ts'
import { whyItDoesNotFit } from './restore-fit.ts'
import { type chooseRoute, settleMemory } from './restore-memory.ts'
import { putBack } from './restore-replaced.ts'
import { type RestoreEnd, RestoreRun } from './restore-run.ts'
import { type RestoreFrom, RestoreSource, type RestoreVault } from './restore-source.ts'

export interface RestoresOptions {
  desk: RestoreVault
  /** Keeps the present state of a guest that is about to be replaced. */
  maker: Pick<CheckpointMaker, 'makeWithin'>
  dockId: string
  guests: Guests
  operations: Operations
  machine: GuestMachine
  bootFiles: BootFileStore
  store: StateStore
  trash: Trash
  /** For tests alone: how the memory comes. */
  chooseRoute?: typeof chooseRoute
  clock: Clock
  random: Random
  log: Log
}

export interface RestoreParts extends RestoresOptions {
  /** Fires when this program ends: what is under way is left for the next one. */
  ending: AbortController
}

export interface StartedRestore {
  operationId: string
  guestId: string
}

const arrivedEveryMs = 200

/** Between tries to reach a checkpoint from which a guest has not everything yet. */
const tryAgainMs = 3000

export class Restores {
  readonly #parts: RestoreParts

  constructor(options: RestoresOptions) {
    this.#parts = { ...options, ending: new AbortController() }
  }

  /**
   * Restores a checkpoint of the vault. Resolves when it is known that it can work here, which takes a look into the
   * vault. @throws vault.*, store.*, restore.*, guest.busy, guest.wrong_state
   */
  async restore(checkpointId: CheckpointId, as: 'same' | 'copy'): Promise<StartedRestore> {
    return await this.#begin({ checkpointId }, as)
  }

  /** Restores what a link leads to, as a guest of this dock's own. @throws as `restore` */
  async receive(link: string): Promise<StartedRestore> {
    return await this.#begin({ link }, 'received')
  }

  /** Goes on with what an earlier host left; to be called when the guests were found. */
  async takeUp(): Promise<void> {
    for (const guest of this.#parts.guests.list()) {
      if (guest.record.restore !== undefined) await this.#takeUp(guest)
    }
  }

  /** Waits until no guest that runs needs this program for its memory any more, for `withinMs` at most. */
  async memoryArrived(withinMs: number): Promise<void> {
    const { guests, clock } = this.#parts
    const isComing = (): boolean =>
      guests.list().some(({ process, record }) => process !== null && record.restore?.memory === 'coming')
    const endMs = clock.monotonicMs() + withinMs
    while (isComing() && clock.monotonicMs() < endMs) await clock.sleep(arrivedEveryMs)
  }

  /** Leaves what is under way to the next host. A guest whose memory is still arriving does not survive that. */
  close(): void {
    this.#parts.ending.abort(fail('host.cancelled'))
  }

  async #begin(from: RestoreFrom, as: 'same' | 'copy' | 'received'): Promise<StartedRestore> {
    const { desk, random } = this.#parts
    const source = await RestoreSource.begin(desk, random.hex(16), from)
    try {
      const present = as === 'same' ? this.#replaceable(source) : null
      await this.#assertFits(source, present)
      const started = present === null ? await this.#asNew(source, from, as) : this.#inPlace(source, present)
      return started
    } catch (error) {
      await source.end()
      throw error
    }
  }

  /** The guest of this dock that would be replaced; null when there is none. */
  #replaceable({ facts }: RestoreSource): LocalGuest | null {
    const { store, guests, dockId } = this.#parts
    const { id } = facts.guest
    const elsewhere = store.state.guests.find((guest) => guest.id === id && guest.dockId !== dockId)
    if (elsewhere !== undefined) {
      const dock = store.state.docks.find((each) => each.id === elsewhere.dockId)?.name ?? 'another PC'
      throw fail('restore.lives_elsewhere', { name: elsewhere.name, dock })
    }
    const guest = guests.find(id)
    if (guest !== null && !['running', 'paused', 'stopped', 'failed'].includes(guest.state.kind)) {
      throw guest.wrongState('replaced by a checkpoint')
    }
    return guest
  }

  async #assertFits({ facts }: RestoreSource, present: LocalGuest | null): Promise<void> {
    const { machine } = this.#parts
    const { id, name, cpuModel } = facts.guest
    const capabilities = await machine.capabilities()
    const pid = present?.process?.identity.pid
    // What the guest has now is free when it is replaced.
    const given = pid === undefined ? 0 : await residentBytes(pid)
    const error = whyItDoesNotFit(facts, name, {
      capabilities,
      memoryRoomBytes: (await machine.memory.roomFor(present?.id ?? id)) + given,
      missingCpuFeatures: capabilities.qemuVersion === null ? [] : await machine.missingCpuFeatures(cpuModel),
    })
    if (error !== null) throw error
  }

  /** On the list, then in the hands of its operation. */
  async #asNew(
    source: RestoreSource,
    from: RestoreFrom,
    as: 'same' | 'copy' | 'received',
  ): Promise<StartedRestore> {
    const { guests, random, dockId, clock } = this.#parts
    const kept = source.facts.guest
    const id = as === 'same' ? kept.id : random.uuid()
    const isTaken = (name: string): boolean => guests.nameTaken(name, id)
    const name = as === 'copy' ? copyName(kept.name, isTaken) : freeName(kept.name, isTaken)
    const macAddress = as === 'same' ? kept.macAddress : randomMac(random)
    const definition = restoredDefinition(kept, { id, name, macAddress }, () => newLayerId(random))
    const { hasMemory } = source.facts
    const guest = await guests.register(
      {
        version: 1,
        definition,
        homeDockId: dockId,
        createdAtMs: clock.nowMs(),
        bootedAtMs: null,
        // One that is off is gone on with by a later host; one that was to run is forgotten and can be restored again.
        complete: !hasMemory,
        arrival: null,
        restore: unfinished(source, 'link' in from ? from.link : null),
      },
      { kind: 'preparing' },
    )
    try {
      return this.#run(guest, source, (run) => run.asNew())
    } catch (error) {
      await guests.forget(id)
      throw error
    }
  }

  /** @throws guest.busy */
  #inPlace(source: RestoreSource, guest: LocalGuest): StartedRestore {
    const { random, maker } = this.#parts
    const { name, definition: present } = guest
    const identity = { id: guest.id, name, macAddress: present.macAddress }
    const definition = restoredDefinition(source.facts.guest, identity, () => newLayerId(random))
    return this.#run(guest, source, async (run, operation) => {
      // A guest that an earlier restore left behind without its memory has nothing to be kept.
      if (guest.record.restore === undefined) {
        await maker.makeWithin(operation, guest, 'before-restore', (report) => tellKeeping(operation, report))
      }
      return await run.inPlace(definition, unfinished(source, null))
    })
  }

  #run(
    guest: LocalGuest,
    source: RestoreSource,
    work: (run: RestoreRun, operation: RunningOperation) => Promise<RestoreEnd>,
  ): StartedRestore {
    const { operations, random } = this.#parts
    const { checkpoint } = source.facts
    let end: RestoreEnd = 'complete'
    const { operation, ended } = operations.run(
      {
        id: random.uuid(),
        guestId: guest.id,
        guestName: guest.name,
        work: { kind: 'restore', checkpointId: checkpoint.id, phase: 'preparing', slowSentence: null },
      },
      async (running) => {
        guest.setOperation(running.id)
        try {
          end = await work(new RestoreRun(this.#parts, guest, source, running), running)
        } catch (error) {
          // What fails because this program ends is the next one's to go on with, not this one's to take back. What is
          // cancelled, also by its end, is undone.
          if (this.#parts.ending.signal.aborted && !running.signal.aborted) running.undo.forget()
          throw error
        }
      },
    )
    void ended.then((error) => this.#onEnd(guest, source, error ?? end))
    return { operationId: operation.id, guestId: guest.id }
  }

  async #onEnd(guest: LocalGuest, source: RestoreSource, end: RestoreEnd | WdockError): Promise<void> {
    const { ending, guests, log } = this.#parts
    if (ending.signal.aborted) return
    await source.end()
    if (guests.find(guest.id) !== guest) return
    guest.setOperation(null)
    // QEMU's stops and resumes were not followed while it was held.
    await guest.readStatus().catch((error: unknown) => log.warn('a guest did not answer', { error }))
    if (guest.process === null && guest.state.kind === 'preparing') guest.setState({ kind: 'stopped' })
    if (end === 'off') await this.#takeUp(guest)
  }

  async #takeUp(guest: LocalGuest): Promise<void> {
    const { operations, random, log } = this.#parts
    await this.#settle(guest)
    const { restore } = guest.record
    if (restore === undefined) return
    log.info('a restore is taken up', { guestId: guest.id, memory: restore.memory, disks: restore.disks })
    if (restore.memory === 'coming') {
      const error = fail('restore.memory_lost', { name: guest.name })
      await putBack(guest, { kind: 'failed', error: error.toJSON() })
      return
    }
    const { checkpointId } = restore
    const { ended } = operations.run(
      {
        id: random.uuid(),
        guestId: guest.id,
        guestName: guest.name,
        work: { kind: 'restore', checkpointId, phase: 'waiting', slowSentence: null },
      },
      async (running) => await this.#goOn(guest, restore, running),
    )
    void ended.then(async (error) => {
      if (this.#parts.ending.signal.aborted) return
      guest.setOperation(null)
      await guest.readStatus().catch(() => {})
      if (error === null && guest.record.restore !== undefined) await this.#takeUp(guest)
    })
  }

  /** QEMU may have all of its memory though the earlier host did not live to note it. */
  async #settle(guest: LocalGuest): Promise<void> {
    const { restore } = guest.record
    const { process } = guest
    if (restore?.memory !== 'coming' || process === null) return
    try {
      if (!(await settleMemory(process))) return
    } catch (error) {
      this.#parts.log.warn('a guest whose memory was arriving did not answer', { guestId: guest.id, error })
      return
    }
    await guest.changeRecord({ restore: { ...restore, memory: 'here' } })
    await guest.readStatus()
  }

  async #goOn(guest: LocalGuest, restore: UnfinishedRestore, running: RunningOperation): Promise<void> {
    const { desk, ending } = this.#parts
    guest.setOperation(running.id)
    const { restoreId, checkpointId, link } = restore
    const from = link === null ? { checkpointId } : { link }
    const signal = AbortSignal.any([running.signal, ending.signal])
    const source = await this.#reach(() => RestoreSource.begin(desk, restoreId, from), signal)
    try {
      await new RestoreRun(this.#parts, guest, source, running).goOn()
    } finally {
      if (!ending.signal.aborted) await source.end()
    }
  }

  /** The vault is opened behind the host's start, and a store may be out of reach for long. */
  async #reach<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (;;) {
      signal.throwIfAborted()
      try {
        return await work()
      } catch (thrown) {
        const error = toWdockError(thrown)
        if (error.permanent && !error.code.startsWith('vault.none')) throw error
        await this.#parts.clock.sleep(tryAgainMs, signal).catch(() => {})
      }
    }
  }
}

function unfinished(source: RestoreSource, link: string | null): UnfinishedRestore {
  const { facts, restoreId } = source
  return {
    restoreId,
    checkpointId: facts.checkpoint.id,
    link,
    memory: facts.hasMemory ? 'coming' : 'here',
    disks: facts.disks.map(({ nodeName }) => nodeName),
    previous: null,
  }
}

function tellKeeping(operation: RunningOperation, { progress }: CaptureReport): void {
  const { work } = operation.view
  if (work.kind !== 'restore') return
  operation.update({ progress, work: { ...work, phase: 'keeping-present' } })
}
