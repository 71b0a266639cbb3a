/**
 * The destination's side of every move that comes to this dock. Promises that a guest runs here only on the
 * source's commit; that what is abandoned before the switchover leaves nothing behind; that from the switchover on
 * nothing is thrown away unless the source has said that it keeps the guest: what is let go of without that word
 * goes to the trash; and that a commit is remembered, over crashes, until the source has let go of its own copy.
 * Relies on one journal a migration.
 */
import type { Duplex } from 'node:stream'
import { fail, isCode, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import { receiveLayer } from '../../disk/layer-transfer.ts'
import type { LayerStore } from '../../disk/layers.ts'
import { endExport, exportForMirror } from '../../disk/mirror.ts'
import type { From } from '../../docks/dock-net.ts'
import { type Joint, plainJoint } from '../../docks/joint.ts'
import { WindowedJoint } from '../../docks/windowed-joint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import {
  clearCapabilities,
  postCopyCapabilities,
  setCapabilities,
  startIncoming,
  unixUri,
  waitForMigrationStatus,
} from '../../qemu/migration.ts'
import { announceSelf, cont } from '../../qemu/qmp/commands.ts'
import type { BootFileStore } from '../guests/boot-files.ts'
import { setGuestClock } from '../guests/guest-clock.ts'
import type { GuestMachine } from '../guests/guest-environment.ts'
import type { Guests } from '../guests/guests.ts'
import type { Operations } from '../operations.ts'
import { Arrival } from './arrival.ts'
import { blockedValues, findBlockers } from './arrival-check.ts'
import { ArrivalRests } from './arrival-rests.ts'
import { assertArrived, assertOffered, clearAway, createTops, lacking } from './arrival-steps.ts'
import { Commits } from './commits.ts'
import type { Faults } from './faults.ts'
import { Journal } from './journal.ts'
import type { CheckAnswer, DestinationStage, GuestOffer, StreamHeader } from './messages.ts'
import { missingBytes, unchangingFiles } from './offer.ts'
import { awaitDevices, expectPostCopy, mayFetch } from './post-copy-arrival.ts'
import { relayToQemu } from './relay.ts'
import { memoryWindow } from './tuning.ts'
import type { Visits } from './visits.ts'

export interface ArrivalsOptions {
  journalDir: string
  dockName: () => string
  guests: Guests
  operations: Operations
  machine: GuestMachine
  layers: LayerStore
  bootFiles: BootFileStore
  clock: Clock
  log: Log
  faults: Faults | null
  visits: Visits | null
  /** Tells the source that this side can no longer receive. */
  tellFailed(dockId: string, migrationId: string, error: WdockError): void
}

/** How long QEMU may take to load what has arrived. */
const loadTimeoutMs = 600_000

export class Arrivals {
  readonly #options: ArrivalsOptions
  readonly #arrivals = new Map<string, Arrival>()
  /** Off the list and being cleaned up, by migration. */
  readonly #leaving = new Map<string, { guestId: string; left: Promise<void> }>()
  readonly commits: Commits
  readonly rests: ArrivalRests

  constructor(options: ArrivalsOptions) {
    this.#options = options
    this.commits = new Commits(options.log)
    this.rests = new ArrivalRests(options, this.commits, (id) => this.#arrivals.get(id) ?? null)
  }

  /** Migrations that wait here for a decision, with the dock that can give it. */
  waiting(): { migrationId: string; dockId: string }[] {
    return [...this.#arrivals.values()].map(({ migrationId, dockId }) => ({ migrationId, dockId }))
  }

  async check(offer: GuestOffer): Promise<CheckAnswer> {
    for (const { guestId, left } of [...this.#leaving.values()]) {
      if (guestId === offer.definition.id) await left
    }
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
      memoryRoomBytes: await machine.memory.roomFor(definition.id),
      missingCpuFeatures: usable ? await machine.missingCpuFeatures(definition.cpuModel) : [],
      suggestedCpuModel: usable ? await machine.defaultCpuModel() : '',
    })
    return { blockers: blockers.map((error) => error.toJSON()), warnings: [], ...missing }
  }

  /**
   * Makes room for a guest: journal, record, empty top layers. It is on the list from the first moment, so that an
   * abort that comes meanwhile finds it. @throws migration.blocked, migration.not_found when let go meanwhile
   */
  async prepare(from: From, migrationId: string, offer: GuestOffer): Promise<void> {
    const guestId = offer.definition.id
    const dock = { name: this.#options.dockName() }
    const taken = [...this.#arrivals.values()].some(
      (each) => each.guestId === guestId || each.migrationId === migrationId,
    )
    if (taken) throw fail('migration.already_there', { dock: dock.name, name: offer.definition.name })
    const arrival = new Arrival({ migrationId, dockId: from.dockId, guestId, offer })
    this.#arrivals.set(migrationId, arrival)
    arrival.pledgeMemory(this.#options.machine.memory, offer.definition)
    try {
      await arrival.exclusively(async () => {
        const answer = await this.check(offer)
        if (answer.blockers.length > 0) throw fail('migration.blocked', blockedValues(dock, offer, answer))
        await this.#makeRoom(arrival, offer)
      })
    } catch (error) {
      await this.#letGo(arrival)
      throw error
    }
  }

  async #makeRoom(arrival: Arrival, offer: GuestOffer): Promise<void> {
    const { guests, clock, journalDir } = this.#options
    const { definition, homeDockId, createdAtMs, bootedAtMs } = offer
    const { migrationId, dockId, cleanup } = arrival
    const journal = await Journal.create(journalDir, {
      version: 1,
      side: 'destination',
      migrationId,
      guestId: definition.id,
      guestName: definition.name,
      otherDockId: dockId,
      startedAtMs: clock.nowMs(),
    })
    cleanup.add('clear it away', () => clearAway(guests, journal, arrival.keepsDisk))
    const times = { homeDockId, createdAtMs, bootedAtMs }
    const state = { kind: 'arriving', fromDockId: dockId } as const
    const guest = await guests.register(
      { version: 1, definition, ...times, complete: true, arrival: { migrationId, fromDockId: dockId } },
      state,
    )
    arrival.hold(journal, guest)
    guest.setOperation(migrationId)
    await createTops(guest)
  }

  /**
   * Starts QEMU in wait: its disks exported for the mirror, its ear open for memory.
   * @param how `pages`: the source would send pages; `postCopy`: the guest before all of its memory
   * @returns whether pages may come @throws migration.post_copy_impossible
   */
  async launch(
    from: From,
    migrationId: string,
    { pages, postCopy }: { pages: boolean; postCopy: boolean },
  ): Promise<boolean> {
    const arrival = this.#of(from, migrationId)
    return await arrival.exclusively(async () => {
      const { guest } = arrival
      const process = await guest.launch(true, postCopy)
      arrival.process = process
      process.onExit((exit) => this.#onExit(arrival, exit.stderrTail))
      if (postCopy) {
        const names = { name: guest.name, dock: this.#options.dockName() }
        await expectPostCopy(process.qmp, postCopyCapabilities, names)
        const rest = this.rests.of(arrival)
        arrival.cleanup.add('close the memory channel', async () => rest.cut())
      } else await setCapabilities(process.qmp)
      const nodes = guest.definition.disks.map((disk) => disk.nodeName)
      if (nodes.length > 0) await exportForMirror(process.qmp, nodes, process.sockets.nbd)
      await startIncoming(process.qmp, unixUri(process.sockets.incoming))
      return pages && (await this.#expectPages(arrival, process.sockets.incoming))
    })
  }

  /** Puts the page codec in front of QEMU. @returns false where there is no room for it */
  async #expectPages(arrival: Arrival, qemuPath: string): Promise<boolean> {
    const { visits, log } = this.#options
    const { guestId, guest, dockId, migrationId } = arrival
    if (visits === null || !(await visits.hasRoom(guest.definition.memoryBytes))) return false
    const files = unchangingFiles(guest.definition, this.#options.layers, this.#options.bootFiles)
    const ways = { listenPath: `${qemuPath}.relay`, qemuPath, files }
    const visit = await visits.receive({ guestId, guestName: guest.name, dockId }, ways)
    arrival.visit = visit
    arrival.cleanup.add('end the codec', () => visit.close())
    visit.ended.catch((error: unknown) => {
      log.info('the codec of an arrival ended', { migrationId, error })
      // A socket that was closed says less than why it was: QEMU's end, or that of the link, is told by itself.
      if (!isCode(error, 'delta.bad_message') || arrival.signal.aborted) return
      this.#options.tellFailed(dockId, migrationId, toWdockError(error))
    })
    await visit.listening
    return true
  }

  #onExit(arrival: Arrival, stderrTail: string): void {
    const { migrationId, dockId } = arrival
    if (this.#arrivals.get(migrationId) !== arrival || arrival.signal.aborted) return
    this.#options.tellFailed(dockId, migrationId, fail('qemu.gone', {}, { detail: stderrTail }))
  }

  /** Accepts a channel that brings a part of a guest. @returns what takes the bytes */
  async accept(from: From, header: StreamHeader): Promise<(stream: Duplex) => void> {
    const rest = this.commits.rest(from.dockId, header.migrationId)
    if (rest !== null && header.kind === 'memory') return (stream) => rest.join(stream)
    const arrival = this.#of(from, header.migrationId)
    switch (header.kind) {
      case 'layer':
        assertOffered(arrival.offer?.layers, header.layer.id)
        return (stream) => this.#receive(arrival, stream, this.#receiveLayer(arrival, header.layer, stream))
      case 'boot-file': {
        assertOffered(arrival.offer?.bootFiles, header.file.id)
        const { bootFiles } = this.#options
        return (stream) =>
          this.#receive(arrival, stream, bootFiles.receive(stream, header.file, arrival.signal))
      }
      case 'disk': {
        const { nbd } = arrival.requireProcess().sockets
        return (stream) => this.#join(arrival, nbd, plainJoint(stream))
      }
      case 'memory': {
        const { incoming } = arrival.requireProcess().sockets
        const { rest: first } = arrival
        if (first !== null) return (stream) => first.join(stream)
        const path = arrival.visit === null ? incoming : `${incoming}.relay`
        return (stream) => this.#join(arrival, path, new WindowedJoint(stream, { window: memoryWindow }))
      }
    }
  }

  /** The source's guest stands still now: from here on only the source's word, or a person's, lets go of this. */
  async switching(from: From, migrationId: string): Promise<void> {
    const arrival = this.#of(from, migrationId)
    await arrival.exclusively(() => arrival.journal.record('switching'))
  }

  /** Resolves when everything has arrived and the guest stands paused here, its disk free of the mirror. */
  async awaitLoaded(from: From, migrationId: string, signal: AbortSignal): Promise<void> {
    const arrival = this.#of(from, migrationId)
    const { qmp } = arrival.requireProcess()
    const either = AbortSignal.any([signal, arrival.signal])
    const options = { timeoutMs: loadTimeoutMs, signal: either }
    if (arrival.rest !== null) await awaitDevices(qmp, this.#options.clock, options)
    else await waitForMigrationStatus(qmp, ['completed'], options)
    if (arrival.guest.definition.disks.length > 0) await endExport(qmp)
    arrival.markLoaded()
  }

  /**
   * The source has given the guest away: it runs here now. May be called again by a source that missed the answer.
   * @param fetches some of its memory may still be at the source; undefined where that does not know @returns the time in milliseconds until it ran
   * @throws qemu.gone when what had arrived is lost: then this side has let go of it and the source may run on
   */
  async commit(from: From, migrationId: string, run: boolean, fetches: boolean | undefined): Promise<number> {
    if (this.commits.has(from.dockId, migrationId)) return 0
    const arrival = this.#of(from, migrationId)
    try {
      const ranAfterMs = await arrival.exclusively(async () => {
        const { qmp } = arrival.requireProcess()
        return await this.#take(arrival, run, fetches ?? (await mayFetch(qmp)))
      })
      await this.#options.faults?.at('committed')
      return ranAfterMs
    } catch (error) {
      if (isCode(error, 'qemu.gone')) await this.#letGo(arrival, arrival.stage === 'switching')
      throw error
    }
  }

  /** A person decides that the guest is this dock's. @throws migration.not_arrived when a part is missing */
  async takeHere(arrival: Arrival): Promise<void> {
    const { process } = arrival
    await arrival.exclusively(async () => {
      await this.#take(arrival, true, process !== null && (await mayFetch(process.qmp)))
    })
  }

  /** The guest runs first; that it does is remembered before anyone is told. */
  async #take(arrival: Arrival, run: boolean, fetches: boolean): Promise<number> {
    const { journal, guest, process, migrationId } = arrival
    if (process !== null && !arrival.loaded) await assertArrived(guest.name, process.qmp)
    arrival.markLoaded()
    const startedMs = this.#options.clock.monotonicMs()
    if (process !== null && run) await cont(process.qmp)
    const ranAfterMs = this.#options.clock.monotonicMs() - startedMs
    const rest = process !== null && fetches ? this.rests.of(arrival) : null
    const stage = rest === null ? 'committed' : 'fetching'
    if (journal.stage !== stage) await journal.record(stage)
    this.#arrivals.delete(migrationId)
    const settledIn = this.#settleIn(arrival, run, rest === null)
    arrival.visit?.keep()
    guest.setOperation(null)
    if (rest === null) this.commits.add(journal, settledIn)
    else this.rests.follow(journal, guest, rest, settledIn)
    guest.setState(process === null ? { kind: 'stopped' } : { kind: run ? 'running' : 'paused' })
    return ranAfterMs
  }

  /** What may be done after the guest runs. @throws when the record could not be written */
  async #settleIn({ guest, process }: Arrival, run: boolean, isWhole: boolean): Promise<void> {
    const { log } = this.#options
    const told = (error: unknown): void =>
      log.error('a guest that arrived was not fully settled', { guestId: guest.id, error })
    if (process !== null && run) {
      await announceSelf(process.qmp).catch(told)
      void setGuestClock(guest.definition, process, this.#options)
    }
    await guest.changeRecord({ arrival: null, ...(process === null ? { bootedAtMs: null } : {}) })
    if (process !== null && isWhole) await clearCapabilities(process.qmp).catch(told)
    await guest.refreshDiskUse().catch(told)
  }

  /** The source keeps the guest. @returns what this side knows: `committed` when it is too late */
  async abort(from: From, migrationId: string): Promise<DestinationStage> {
    const arrival = this.#arrivals.get(migrationId)
    if (arrival?.dockId === from.dockId) await this.#letGo(arrival)
    return await this.stage(from.dockId, migrationId)
  }

  /** Lets go of an arrival for good: it will never run here. @param keepsDisk moves its disk to the trash */
  async discard(migrationId: string, keepsDisk: boolean): Promise<void> {
    const arrival = this.#arrivals.get(migrationId)
    if (arrival !== undefined) await this.#letGo(arrival, keepsDisk)
  }

  /** What this side knows of a migration, to be told to the dock it comes from. */
  async stage(dockId: string, migrationId: string): Promise<DestinationStage> {
    // `unknown` is final: it is not said while a commit that was under way may still win.
    await this.#leaving.get(migrationId)?.left
    if (this.commits.has(dockId, migrationId)) {
      const end = this.commits.rest(dockId, migrationId)?.end
      return end === null ? 'fetching' : 'committed'
    }
    const arrival = this.#arrivals.get(migrationId)
    if (arrival === undefined || arrival.dockId !== dockId) return 'unknown'
    return arrival.stage === 'switching' ? 'switching' : 'preparing'
  }

  find(migrationId: string): Arrival | null {
    return this.#arrivals.get(migrationId) ?? null
  }

  /** The link to a source is gone: what had not reached the switchover is abandoned, the rest waits. */
  async linkLost(dockId: string): Promise<void> {
    const theirs = [...this.#arrivals.values()].filter((each) => each.dockId === dockId)
    await Promise.all(
      theirs.map(async (arrival) => {
        if (arrival.stage === null || arrival.stage === 'open') await this.#letGo(arrival)
        else showUnsettled(arrival)
      }),
    )
  }

  /** Before this host ends: what could still be abandoned is. */
  async close(): Promise<void> {
    const open = [...this.#arrivals.values()].filter(({ stage }) => stage === null || stage === 'open')
    await Promise.all(open.map((arrival) => this.#letGo(arrival)))
  }

  /** Takes up an arrival that an earlier host left: abandons it, finishes it, or waits for the source. */
  async takeUp(journal: Journal): Promise<void> {
    const { guests, log } = this.#options
    const { migrationId, guestId, otherDockId } = journal.head
    const guest = guests.find(guestId)
    const arriving = guest !== null && guest.record.arrival?.migrationId === migrationId ? guest : null
    if (guest !== null && journal.stage === 'fetching') {
      this.rests.takeUp(journal, guest)
      return
    }
    if (arriving === null) {
      if (journal.stage === 'committed') this.commits.add(journal, Promise.resolve())
      else await journal.remove()
      return
    }
    const arrival = new Arrival({ migrationId, dockId: otherDockId, guestId, offer: null })
    arrival.hold(journal, arriving)
    arrival.process = arriving.process
    arrival.cleanup.add('clear it away', () => clearAway(guests, journal, arrival.keepsDisk))
    this.#arrivals.set(migrationId, arrival)
    log.info('an arrival is taken up', { guestId, stage: journal.stage, state: arriving.state.kind })
    // It is never let run before the commit: a guest that runs has been committed.
    if (journal.stage === 'committed' || arriving.state.kind === 'running') {
      const fetches = journal.stage !== 'committed'
      await arrival.exclusively(() => this.#take(arrival, arriving.state.kind === 'running', fetches))
    } else if (journal.stage === 'open') await this.#letGo(arrival)
    else {
      arriving.setOperation(migrationId)
      showUnsettled(arrival)
    }
  }

  #of(from: From, migrationId: string): Arrival {
    const arrival = this.#arrivals.get(migrationId)
    if (arrival === undefined || arrival.dockId !== from.dockId) throw fail('migration.not_found')
    return arrival
  }

  async #receiveLayer(arrival: Arrival, need: GuestOffer['layers'][number], stream: Duplex): Promise<void> {
    await receiveLayer(stream, this.#options.layers, need.id, need, { signal: arrival.signal })
  }

  #receive(arrival: Arrival, stream: Duplex, work: Promise<void>): void {
    work.catch((thrown: unknown) => {
      const { dockId, migrationId } = arrival
      this.#options.log.warn('a file of a guest was not received', { migrationId, error: thrown })
      if (!arrival.signal.aborted) this.#options.tellFailed(dockId, migrationId, toWdockError(thrown))
      stream.destroy()
    })
  }

  #join(arrival: Arrival, socketPath: string, joint: Joint): void {
    const { migrationId } = arrival
    joint.ended.catch((error: unknown) => this.#options.log.info('a relay ended', { migrationId, error }))
    relayToQemu(socketPath, joint).then(
      (relay) => {
        if (arrival.signal.aborted) void relay.close()
        else arrival.cleanup.add('close a relay', () => relay.close())
      },
      (error: unknown) => {
        this.#options.log.warn('QEMU did not take a channel', { migrationId, error })
        joint.destroy()
      },
    )
  }

  /** Off the list first: from here on this side answers `unknown`, and it never runs the guest. */
  async #letGo(arrival: Arrival, keepsDisk = false): Promise<void> {
    const { migrationId, guestId, dockId } = arrival
    if (this.#arrivals.get(migrationId) === arrival) this.#arrivals.delete(migrationId)
    const left = arrival.letGo(async () => {
      // A commit that was under way has won: the guest is this dock's.
      if (this.commits.has(dockId, migrationId)) return
      arrival.keepsDisk = keepsDisk
      for (const { name, error } of await arrival.cleanup.run()) {
        this.#options.log.error('cleaning up an arrival failed', { step: name, error })
      }
    })
    this.#leaving.set(migrationId, { guestId, left })
    await left
    this.#leaving.delete(migrationId)
  }
}

function showUnsettled(arrival: Arrival): void {
  const { migrationId, dockId } = arrival
  arrival.shownGuest?.setState({ kind: 'unsettled', migrationId, otherDockId: dockId })
}
