/**
 * What this dock still holds of guests that run elsewhere before all of their memory is there. Promises that it is
 * served until the other dock has it, and that a loss on either side is told to the other before anything is let go of.
 * Relies on the journal: only a guest that was given away is served.
 */
import { fail, isCode } from '../../../shared/errors/index.ts'
import type { WindowedJoint } from '../../docks/windowed-joint.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import type { DepartureMeter } from './departure-meter.ts'
import type { Journal, JournalHead } from './journal.ts'
import type { DockingParts } from './parts.ts'
import { mayFetch } from './post-copy-arrival.ts'
import { RestOfMemory, type RestOptions } from './post-copy-departure.ts'

export type RestHooks = Pick<RestOptions, 'joint' | 'onProgress' | 'onPhase'>

/** Tells the operation of a move how the rest gets on. @param joint what carries it now, if anything */
export function restHooks(meter: DepartureMeter, joint: WindowedJoint | null): RestHooks {
  return {
    joint,
    onProgress: (progress, stats) => meter.memoryProgress(progress, stats),
    onPhase: (phase) => meter.phase(phase),
  }
}

const silent: RestHooks = { joint: null, onProgress: () => undefined, onPhase: () => undefined }

export class Rests {
  readonly #parts: DockingParts
  readonly #closing = new AbortController()

  constructor(parts: DockingParts) {
    this.#parts = parts
  }

  /** This host ends; QEMU goes on holding the rest, for the next one. */
  close(): void {
    this.#closing.abort()
  }

  /** Whether the other side may lack memory that is here; undefined where its QEMU is gone, and nobody here knows. */
  async mayHold({ head }: Journal): Promise<boolean | undefined> {
    const process = this.#processOf(head)
    return process === null ? undefined : await mayFetch(process.qmp)
  }

  /** Before the commit is said again: a QEMU there that waits for a page may not answer. */
  async mend({ head }: Journal): Promise<void> {
    const process = this.#processOf(head)
    if (process !== null) await this.#rest(head, process, silent).mend()
  }

  /**
   * Resolves when the other side has all of its memory, or switched the guest off before.
   * @throws migration.memory_lost, told to the other side; migration.unsettled when it could not be told, or this host
   * ends: the next one, or the next meeting, goes on
   */
  async serve({ head }: Journal, hooks: RestHooks): Promise<void> {
    const { name: dock } = this.#dock(head)
    const { guestName: name } = head
    this.#parts.guests.find(head.guestId)?.setState({
      kind: 'leaving',
      migrationId: head.migrationId,
      toDockId: head.otherDockId,
    })
    const process = this.#processOf(head)
    try {
      const end = process === null ? 'gone' : await this.#rest(head, process, hooks).serve()
      if (end === 'lost') throw fail('migration.memory_lost', { name, dock, why: 'its QEMU there ended' })
      if (end === 'gone') await this.#tellLost(head)
    } catch (error) {
      if (isCode(error, 'migration.memory_lost')) throw error
      if (isCode(error, 'qemu.gone') && !this.#closing.signal.aborted) await this.#tellLost(head)
      else throw fail('migration.unsettled', { name, dock }, { cause: error })
    }
  }

  #rest(head: JournalHead, process: QemuProcess, hooks: RestHooks): RestOfMemory {
    const { migrationId } = head
    const { signal } = this.#closing
    return new RestOfMemory({
      parts: this.#parts,
      migrationId,
      to: this.#dock(head),
      process,
      signal,
      ...hooks,
    })
  }

  /** @throws migration.memory_lost where that lost something; migration.unsettled when it could not be told */
  async #tellLost({ migrationId, guestName: name, otherDockId }: JournalHead): Promise<void> {
    const { name: dock } = this.#dock({ otherDockId })
    const answer = await this.#parts.calls
      .ask(otherDockId, 'docking.rest-lost', { migrationId })
      .catch((cause: unknown) => {
        throw fail('migration.unsettled', { name, dock }, { cause })
      })
    if (answer.lost)
      throw fail('migration.memory_lost', { name, dock, why: 'the QEMU that had the rest ended' })
  }

  #processOf({ guestId }: JournalHead): QemuProcess | null {
    const process = this.#parts.guests.find(guestId)?.process ?? null
    return process?.isRunning === true ? process : null
  }

  #dock({ otherDockId }: Pick<JournalHead, 'otherDockId'>): { dockId: string; name: string } {
    const known = this.#parts.calls.net.peers().find((peer) => peer.id === otherDockId)
    return { dockId: otherDockId, name: known?.name ?? 'the other PC' }
  }
}
