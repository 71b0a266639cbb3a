/**
 * The guests of this dock and what a person can ask of them. Promises that every guest in the data folder is
 * found at the start with its QEMU if that still runs, that names are unique here, and that nothing is done to a
 * guest while an operation holds it.
 */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fail, toWdockError } from '../../../shared/errors/index.ts'
import type { Guest, GuestState, NewGuest } from '../../../shared/models/guest.ts'
import type { Log } from '../../platform/log.ts'
import type { Operations } from '../operations.ts'
import type { StateStore } from '../state-store.ts'
import { type CreationContext, checkSource, fillGuest, newDefinition } from './guest-creation.ts'
import type { GuestEnvironment } from './guest-environment.ts'
import { type GuestRecord, readGuestRecord, readGuestRecords, writeGuestRecord } from './guest-record.ts'
import { LocalGuest } from './local-guest.ts'
import { type DeletedGuest, Trash } from './trash.ts'

export interface GuestsOptions {
  env: GuestEnvironment
  creation: CreationContext
  operations: Operations
  store: StateStore
  log: Log
}

export class Guests {
  readonly #options: GuestsOptions
  readonly #guests = new Map<string, LocalGuest>()
  readonly #trash: Trash

  constructor(options: GuestsOptions) {
    this.#options = options
    this.#trash = new Trash(options.env.dataDir)
  }

  /**
   * Finds guests and their running QEMUs. One that cannot be adopted is shown with the reason.
   * @returns guests whose time in the trash was over
   */
  async load(): Promise<DeletedGuest[]> {
    const { env, log } = this.#options
    for (const record of await readGuestRecords(join(env.dataDir, 'guests'), log)) {
      const guest = new LocalGuest(env, record, initialState(record))
      this.#guests.set(guest.id, guest)
      if (!record.complete) {
        log.warn('a guest that was never finished is removed', { guestId: guest.id })
        await this.forget(guest.id)
        continue
      }
      await this.#adopt(guest)
      guest.publish()
      void guest.refreshDiskUse()
    }
    return await this.#trash.sweep(env.clock.nowMs())
  }

  async #adopt(guest: LocalGuest): Promise<void> {
    try {
      const found = await guest.adopt()
      this.#options.log.info('guest found', { guestId: guest.id, running: found })
      if (!found && guest.record.bootedAtMs !== null && guest.record.arrival === null) {
        await guest.changeRecord({ bootedAtMs: null })
      }
    } catch (thrown) {
      guest.setState({ kind: 'failed', error: toWdockError(thrown).toJSON() })
    }
  }

  list(): LocalGuest[] {
    return [...this.#guests.values()]
  }

  /** @throws guest.not_found */
  get(id: string): LocalGuest {
    const guest = this.#guests.get(id)
    if (guest === undefined) throw fail('guest.not_found')
    return guest
  }

  find(id: string): LocalGuest | null {
    return this.#guests.get(id) ?? null
  }

  nameTaken(name: string, exceptId: string): boolean {
    const wanted = comparable(name)
    return this.list().some((guest) => guest.id !== exceptId && comparable(guest.name) === wanted)
  }

  /** Starts to create a guest. @throws guest.name_taken and what can be seen to be wrong at once */
  async create(wanted: NewGuest): Promise<{ guestId: string; operationId: string }> {
    const { creation, env, operations } = this.#options
    if (this.nameTaken(wanted.name, '')) throw fail('guest.name_taken', { name: wanted.name })
    await checkSource(creation, wanted)
    const guestId = creation.random.uuid()
    const record: GuestRecord = {
      version: 1,
      definition: await newDefinition(creation, guestId, wanted),
      homeDockId: env.dockId,
      createdAtMs: env.clock.nowMs(),
      bootedAtMs: null,
      complete: false,
      arrival: null,
    }
    // Another one may have taken the name while this one was looked at.
    if (this.nameTaken(wanted.name, '')) throw fail('guest.name_taken', { name: wanted.name })
    const guest = await this.register(record, { kind: 'preparing' })
    const operationId = creation.random.uuid()
    operations.run(
      { id: operationId, guestId, guestName: wanted.name, work: { kind: 'creating' } },
      async (operation) => {
        operation.undo.add('forget the guest', () => this.forget(guestId))
        guest.setOperation(operationId)
        await fillGuest(creation, guest, wanted.source, operation)
        operation.pointOfNoReturn()
        await guest.changeRecord({ complete: true })
        guest.setOperation(null)
        guest.setState({ kind: 'stopped' })
        await guest.refreshDiskUse()
      },
    )
    return { guestId, operationId }
  }

  /** Takes a guest into the list and onto the disk. */
  async register(record: GuestRecord, state: GuestState): Promise<LocalGuest> {
    const guest = new LocalGuest(this.#options.env, record, state)
    // On the list before it is on the disk: of two that come at once the second one sees the first.
    this.#guests.set(guest.id, guest)
    const isNew = (await stat(guest.folder).catch(() => null)) === null
    try {
      await writeGuestRecord(guest.folder, record)
    } catch (error) {
      this.#guests.delete(guest.id)
      if (isNew) await rm(guest.folder, { recursive: true, force: true })
      throw error
    }
    guest.publish()
    return guest
  }

  /** Takes a guest off the list and removes its folder: it never came to be, or lives elsewhere now. */
  async forget(id: string): Promise<void> {
    const guest = this.#guests.get(id)
    if (guest === undefined) return
    await guest.discardProcess()
    this.#drop(guest)
    await rm(guest.folder, { recursive: true, force: true })
    await rm(guest.runDir, { recursive: true, force: true })
  }

  /** Takes a guest off the list; what it has of its disk goes to the trash. @throws what the trash throws */
  async giveUp(id: string): Promise<void> {
    const guest = this.#guests.get(id)
    if (guest === undefined) return
    await guest.discardProcess()
    await this.#putIntoTrash(guest)
  }

  async act(id: string, action: 'start' | 'pause' | 'resume' | 'shutDown' | 'forceOff'): Promise<Guest> {
    const guest = this.#usable(id, action)
    await guest.exclusively(async () => {
      // Looked at again when its turn has come: a move may have begun meanwhile.
      this.#usable(id, action)
      await guest[action]()
    })
    return guest.view()
  }

  async rename(id: string, name: string): Promise<Guest> {
    const guest = this.#free(id)
    if (this.nameTaken(name, id)) throw fail('guest.name_taken', { name })
    await guest.exclusively(() => guest.changeRecord({ definition: { ...guest.definition, name } }))
    return guest.view()
  }

  async remove(id: string): Promise<{ trashedTo: string | null }> {
    const guest = this.#free(id)
    return await guest.exclusively(async () => {
      if (guest.process !== null) throw fail('guest.running', { name: guest.name })
      return { trashedTo: await this.#putIntoTrash(guest) }
    })
  }

  async #putIntoTrash(guest: LocalGuest): Promise<string> {
    const trashedTo = await this.#trash.put(guest.folder, guest.id)
    this.#drop(guest)
    await rm(guest.runDir, { recursive: true, force: true })
    return trashedTo
  }

  /**
   * Brings a guest back that was deleted or given up. @param state in which it stands here then
   * @throws guest.not_found, guest.came_back, guest.lives_elsewhere
   */
  async undoRemove(id: string, state: GuestState): Promise<Guest> {
    const { env, store } = this.#options
    const { guests, docks } = store.state
    const elsewhere = guests.find((guest) => guest.id === id && guest.dockId !== env.dockId)
    if (elsewhere !== undefined) {
      const dock = docks.find((each) => each.id === elsewhere.dockId)?.name ?? 'another PC'
      throw fail('guest.lives_elsewhere', { name: elsewhere.name, dock })
    }
    const present = this.find(id)
    if (present !== null) throw fail('guest.came_back', { name: present.name })
    const guest = await this.takeFromTrash(id, state)
    if (guest === null) throw fail('guest.not_found')
    return guest.view()
  }

  /** @returns null when the trash does not have it */
  async takeFromTrash(id: string, state: GuestState): Promise<LocalGuest | null> {
    const record = await readGuestRecord(this.#trash.path(id))
    if (record === null) return null
    const own = { ...freshName(record, this), bootedAtMs: null, arrival: null }
    // Before it is back: a crash in between must not find a guest that was still on its way.
    await writeGuestRecord(this.#trash.path(id), own)
    await this.#trash.takeBack(join(this.#options.env.dataDir, 'guests', id), id)
    const guest = await this.register(own, state)
    await guest.refreshDiskUse()
    return guest
  }

  /** Lets every guest run on without this host. */
  release(): void {
    for (const guest of this.#guests.values()) guest.release()
  }

  /** One whose disk, or the rest of whose memory, is still arriving may be used like any that runs. */
  #usable(id: string, action: 'start' | 'pause' | 'resume' | 'shutDown' | 'forceOff'): LocalGuest {
    const guest = this.get(id)
    const isRestored = this.#options.operations.holding(id)?.view.work.kind === 'restore'
    const onlyDisk = isRestored && guest.record.restore?.memory === 'here'
    const onlyRest = this.#options.operations.isReserved(id)
    const runs = (onlyDisk || onlyRest) && guest.process !== null
    return runs && action !== 'start' ? guest : this.#free(id)
  }

  #free(id: string): LocalGuest {
    const guest = this.get(id)
    this.#options.operations.assertFree(id, guest.name)
    if (guest.view().operationId !== null || guest.state.kind === 'arriving') {
      throw fail('guest.busy', { name: guest.name, what: 'it is moving' })
    }
    if (guest.state.kind === 'unsettled' || guest.state.kind === 'leaving') throw guest.wrongState('used')
    return guest
  }

  #drop(guest: LocalGuest): void {
    guest.retire()
    this.#guests.delete(guest.id)
    this.#options.store.apply({
      type: 'guest.removed',
      guestId: guest.id,
      dockId: this.#options.env.dockId,
    })
  }
}

function initialState(record: GuestRecord): GuestState {
  return record.arrival === null
    ? { kind: 'stopped' }
    : { kind: 'arriving', fromDockId: record.arrival.fromDockId }
}

/** A guest that comes back while another took its name comes back under the next free one. */
function freshName(record: GuestRecord, guests: Guests): GuestRecord {
  const { definition } = record
  let name = definition.name
  for (let n = 2; guests.nameTaken(name, definition.id); n += 1)
    name = `${definition.name.slice(0, 58)} (${n})`
  return { ...record, definition: { ...definition, name } }
}

function comparable(name: string): string {
  return name.normalize('NFKC').toLowerCase()
}
