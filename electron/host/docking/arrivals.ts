/**
 * The destination's side of every move that comes to this dock. Promises that a guest runs here only on the
 * source's commit; that what is abandoned before the switchover leaves nothing behind; and that from the
 * switchover on nothing is thrown away before the source, or a person, has said so.
 */
import { rm } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { fail, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import { createEmpty, createOverlay } from '../../disk/image.ts'
import { receiveLayer } from '../../disk/layer-transfer.ts'
import { backingFromGuest, type LayerStore } from '../../disk/layers.ts'
import { endExport, exportForMirror } from '../../disk/mirror.ts'
import type { From } from '../../docks/dock-net.ts'
import { windowed } from '../../docks/flow.ts'
import type { Clock } from '../../platform/clock.ts'
import { Disposer } from '../../platform/dispose.ts'
import type { Log } from '../../platform/log.ts'
import {
  clearCapabilities,
  setCapabilities,
  startIncoming,
  unixUri,
  waitForMigrationStatus,
} from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import { announceSelf, cont } from '../../qemu/qmp/commands.ts'
import { type BootFileStore, bootFileIds } from '../guests/boot-files.ts'
import type { Guests } from '../guests/guests.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Machine } from '../machine.ts'
import { findBlockers } from './arrival-check.ts'
import { Journal } from './journal.ts'
import type { CheckAnswer, DestinationStage, GuestOffer, StreamHeader } from './messages.ts'
import { missingBytes } from './offer.ts'
import { relayToQemu } from './relay.ts'
import { memoryWindowBytes } from './tuning.ts'

export interface ArrivalsOptions {
  journalDir: string
  dockName: () => string
  guests: Guests
  machine: Machine
  layers: LayerStore
  bootFiles: BootFileStore
  clock: Clock
  log: Log
  /** Tells the source that this side can no longer receive. */
  tellFailed(dockId: string, migrationId: string, error: WdockError): void
}

/** One guest on its way here. */
interface Arrival {
  readonly journal: Journal
  readonly guest: LocalGuest
  readonly cleanup: Disposer
  process: QemuProcess | null
}

/** How long QEMU may take to load what has arrived. */
const loadTimeoutMs = 600_000

export class Arrivals {
  readonly #options: ArrivalsOptions
  readonly #arrivals = new Map<string, Arrival>()
  /** Migrations that ended here with a commit, so that a source that missed the answer can ask again. */
  readonly #committed = new Set<string>()

  constructor(options: ArrivalsOptions) {
    this.#options = options
  }

  /** Migrations that wait here for a decision, with the dock that can give it. */
  waiting(): { migrationId: string; dockId: string }[] {
    return [...this.#arrivals.values()].map(({ journal }) => ({
      migrationId: journal.head.migrationId,
      dockId: journal.head.otherDockId,
    }))
  }

  async check(offer: GuestOffer): Promise<CheckAnswer> {
    const { layers, bootFiles, machine, guests } = this.#options
    const { definition } = offer
    const missing = {
      missingLayers: await lacking(offer.layers, (id) => layers.has(id)),
      missingBootFiles: await lacking(offer.bootFiles, async (id) => (await bootFiles.size(id)) !== null),
    }
    const capabilities = await machine.capabilities()
    const usable = capabilities.qemuVersion !== null
    const blockers = findBlockers(offer, {
      dockName: this.#options.dockName(),
      capabilities,
      sameId: guests.find(definition.id) === null ? 'none' : 'present',
      nameTaken: guests.nameTaken(definition.name, definition.id),
      missingBytes: missingBytes(offer, missing),
      missingCpuFeatures: usable ? await machine.missingCpuFeatures(definition.cpuModel) : [],
      suggestedCpuModel: usable ? await machine.defaultCpuModel() : '',
    })
    return { blockers: blockers.map((error) => error.toJSON()), warnings: [], ...missing }
  }

  /** Makes room for a guest: journal, record, empty top layers. */
  async prepare(from: From, migrationId: string, offer: GuestOffer): Promise<void> {
    const { guests, clock, journalDir } = this.#options
    const { definition } = offer
    const answer = await this.check(offer)
    if (answer.blockers[0] !== undefined) throw fail('migration.blocked', blockedValues(from, offer, answer))
    const cleanup = new Disposer()
    try {
      const journal = await Journal.create(journalDir, {
        version: 1,
        side: 'destination',
        migrationId,
        guestId: definition.id,
        guestName: definition.name,
        otherDockId: from.dockId,
        startedAtMs: clock.nowMs(),
      })
      cleanup.add('remove the journal', () => journal.remove())
      const arrival = { migrationId, fromDockId: from.dockId }
      const { homeDockId, createdAtMs, bootedAtMs } = offer
      const record = {
        version: 1,
        definition,
        homeDockId,
        createdAtMs,
        bootedAtMs,
        complete: true,
        arrival,
      } as const
      const guest = await guests.register(record, { kind: 'arriving', fromDockId: from.dockId })
      cleanup.add('forget the guest', () => guests.forget(definition.id))
      guest.setOperation(migrationId)
      await createTops(guest)
      this.#arrivals.set(migrationId, { journal, guest, cleanup, process: null })
      cleanup.add('take the arrival off the list', () => void this.#arrivals.delete(migrationId))
    } catch (error) {
      await this.#clean(cleanup)
      throw error
    }
  }

  /** Starts QEMU in wait: its disks exported for the mirror, its ear open for memory. */
  async launch(from: From, migrationId: string): Promise<void> {
    const arrival = this.#of(from, migrationId)
    const process = await arrival.guest.launch(true)
    arrival.process = process
    process.onExit((exit) => {
      if (!this.#arrivals.has(migrationId)) return
      const error = fail('qemu.gone', {}, { detail: exit.stderrTail })
      this.#options.tellFailed(from.dockId, migrationId, error)
    })
    await setCapabilities(process.qmp)
    const nodes = arrival.guest.definition.disks.map((disk) => disk.nodeName)
    if (nodes.length > 0) await exportForMirror(process.qmp, nodes, process.sockets.nbd)
    await startIncoming(process.qmp, unixUri(process.sockets.incoming))
  }

  /** Accepts a channel that brings a part of a guest. @returns what takes the bytes */
  async accept(from: From, header: StreamHeader): Promise<(stream: Duplex) => void> {
    const arrival = this.#of(from, header.migrationId)
    switch (header.kind) {
      case 'layer':
        return (stream) => this.#receive(arrival, stream, this.#receiveLayer(arrival, header.layer, stream))
      case 'boot-file':
        return (stream) =>
          this.#receive(arrival, stream, this.#options.bootFiles.receive(stream, header.file))
      case 'disk':
        return (stream) => this.#join(arrival, requireProcess(arrival).sockets.nbd, stream)
      case 'memory':
        return (stream) => {
          const channel = windowed(stream, { windowBytes: memoryWindowBytes })
          this.#join(arrival, requireProcess(arrival).sockets.incoming, channel)
        }
    }
  }

  /** The source's guest stands still now: from here on only the source's word, or a person's, lets go of this. */
  async switching(from: From, migrationId: string): Promise<void> {
    await this.#of(from, migrationId).journal.record('switching')
  }

  /** Resolves when everything has arrived and the guest stands paused here, its disk free of the mirror. */
  async awaitLoaded(from: From, migrationId: string, signal: AbortSignal): Promise<void> {
    const arrival = this.#of(from, migrationId)
    const { qmp } = requireProcess(arrival)
    await waitForMigrationStatus(qmp, ['completed'], { timeoutMs: loadTimeoutMs, signal })
    if (arrival.guest.definition.disks.length > 0) await endExport(qmp)
  }

  /**
   * The source has given the guest away: it runs here now. May be called again by a source that missed the answer.
   * @returns the time in milliseconds until it ran
   */
  async commit(from: From, migrationId: string, run: boolean): Promise<number> {
    if (this.#committed.has(migrationId)) return 0
    return await this.take(this.#of(from, migrationId), run)
  }

  /** Makes an arrival this dock's own, on the source's word or a person's. */
  async take(arrival: Arrival, run: boolean): Promise<number> {
    const { journal, guest } = arrival
    const { migrationId } = journal.head
    const startedMs = this.#options.clock.monotonicMs()
    const process = arrival.process
    if (process !== null && run) await cont(process.qmp)
    const ranAfterMs = this.#options.clock.monotonicMs() - startedMs
    this.#committed.add(migrationId)
    this.#arrivals.delete(migrationId)
    void this.#settleIn(arrival, run)
    guest.setOperation(null)
    guest.setState(process === null ? { kind: 'stopped' } : { kind: run ? 'running' : 'paused' })
    return ranAfterMs
  }

  /** What may be done after the guest runs: network, record, journal. */
  async #settleIn(arrival: Arrival, run: boolean): Promise<void> {
    const { guest, journal, process } = arrival
    try {
      if (process !== null && run) await announceSelf(process.qmp)
      await guest.changeRecord({ arrival: null })
      await journal.remove()
      if (process !== null) await clearCapabilities(process.qmp)
      await guest.refreshDiskUse()
    } catch (error) {
      this.#options.log.error('a guest that arrived was not fully settled', { guestId: guest.id, error })
    }
  }

  /** The source keeps the guest. @returns what this side knows: `committed` when it is too late */
  async abort(from: From, migrationId: string): Promise<DestinationStage> {
    const stage = this.stage(from.dockId, migrationId)
    if (stage === 'unknown' || stage === 'committed') return stage
    await this.discard(migrationId)
    return 'unknown'
  }

  /** Lets go of an arrival for good: it will never run here. */
  async discard(migrationId: string): Promise<void> {
    const arrival = this.#arrivals.get(migrationId)
    if (arrival !== undefined) await this.#clean(arrival.cleanup)
  }

  stage(dockId: string, migrationId: string): DestinationStage {
    if (this.#committed.has(migrationId)) return 'committed'
    const arrival = this.#arrivals.get(migrationId)
    if (arrival === undefined || arrival.journal.head.otherDockId !== dockId) return 'unknown'
    return arrival.journal.stage === 'switching' ? 'switching' : 'preparing'
  }

  find(migrationId: string): Arrival | null {
    return this.#arrivals.get(migrationId) ?? null
  }

  /** Remembers that a migration ended here with a commit, from the history. */
  rememberCommitted(migrationIds: Iterable<string>): void {
    for (const id of migrationIds) this.#committed.add(id)
  }

  /** The link to a source is gone: what had not reached the switchover is abandoned, the rest waits. */
  async linkLost(dockId: string): Promise<void> {
    for (const { journal, guest } of [...this.#arrivals.values()]) {
      if (journal.head.otherDockId !== dockId) continue
      if (journal.stage === 'open') await this.discard(journal.head.migrationId)
      else showUnsettled(guest, journal)
    }
  }

  /** Takes up an arrival that an earlier host left: abandons it, finishes it, or waits for the source. */
  async takeUp(journal: Journal): Promise<void> {
    const { guests, log } = this.#options
    const guest = guests.find(journal.head.guestId)
    if (guest === null || guest.record.arrival?.migrationId !== journal.head.migrationId) {
      if (guest !== null) this.#committed.add(journal.head.migrationId)
      await journal.remove()
      return
    }
    const cleanup = new Disposer()
    cleanup.add('remove the journal', () => journal.remove())
    cleanup.add('forget the guest', () => guests.forget(guest.id))
    cleanup.add('take the arrival off the list', () => void this.#arrivals.delete(journal.head.migrationId))
    const arrival = { journal, guest, cleanup, process: guest.process }
    this.#arrivals.set(journal.head.migrationId, arrival)
    log.info('an arrival is taken up', { guestId: guest.id, stage: journal.stage, state: guest.state.kind })
    // It is never let run before the commit: a guest that runs has been committed.
    if (guest.state.kind === 'running') await this.take(arrival, true)
    else if (journal.stage === 'open') await this.#clean(cleanup)
    else showUnsettled(guest, journal)
  }

  #of(from: From, migrationId: string): Arrival {
    const arrival = this.#arrivals.get(migrationId)
    if (arrival === undefined || arrival.journal.head.otherDockId !== from.dockId) {
      throw fail('migration.not_found')
    }
    return arrival
  }

  async #receiveLayer(arrival: Arrival, need: GuestOffer['layers'][number], stream: Duplex): Promise<void> {
    const abort = new AbortController()
    const forget = arrival.cleanup.add('stop receiving', () => abort.abort(fail('host.cancelled')))
    await receiveLayer(stream, this.#options.layers, need.id, need, { signal: abort.signal })
    forget()
  }

  #receive(arrival: Arrival, stream: Duplex, work: Promise<void>): void {
    work.catch((thrown: unknown) => {
      stream.destroy()
      const { otherDockId, migrationId } = arrival.journal.head
      this.#options.log.warn('a file of a guest was not received', { migrationId, error: thrown })
      this.#options.tellFailed(otherDockId, migrationId, toWdockError(thrown))
    })
  }

  #join(arrival: Arrival, socketPath: string, channel: Duplex): void {
    const { migrationId } = arrival.journal.head
    relayToQemu(socketPath, channel, (error) => {
      if (error) this.#options.log.info('a relay ended', { migrationId, error })
    }).then(
      (relay) => void arrival.cleanup.add('close a relay', () => relay.close()),
      (error: unknown) => {
        this.#options.log.warn('QEMU did not take a channel', { migrationId, error })
        channel.destroy()
      },
    )
  }

  async #clean(cleanup: Disposer): Promise<void> {
    for (const failure of await cleanup.run()) {
      this.#options.log.error('cleaning up an arrival failed', { step: failure.name, error: failure.error })
    }
  }
}

function requireProcess(arrival: Arrival): QemuProcess {
  if (arrival.process === null) throw fail('qemu.gone')
  return arrival.process
}

function showUnsettled(guest: LocalGuest, journal: Journal): void {
  const { migrationId, otherDockId } = journal.head
  guest.setState({ kind: 'unsettled', migrationId, otherDockId })
}

async function createTops(guest: LocalGuest): Promise<void> {
  for (const disk of guest.definition.disks) {
    const path = guest.topPath(disk.nodeName)
    await rm(path, { force: true })
    const { virtualSizeBytes } = disk
    const below = disk.layers.at(-1)
    if (below === undefined) await createEmpty(path, virtualSizeBytes)
    else await createOverlay(path, { backing: backingFromGuest(below), virtualSizeBytes })
  }
}

async function lacking(
  needs: readonly { id: string }[],
  has: (id: string) => Promise<boolean>,
): Promise<string[]> {
  const held = await Promise.all(needs.map((need) => has(need.id)))
  return needs.filter((_, index) => !held[index]).map((need) => need.id)
}

export function blockedValues(
  to: { name: string },
  offer: GuestOffer,
  answer: CheckAnswer,
): Record<string, string> {
  const [first] = answer.blockers
  return { name: offer.definition.name, dock: to.name, why: first?.message ?? '', todo: first?.fix ?? '' }
}

/** The ids of everything but the top layers that a guest needs. */
export function neededIds(guest: LocalGuest): string[] {
  return [...guest.definition.disks.flatMap((disk) => disk.layers), ...bootFileIds(guest.definition.boot)]
}
