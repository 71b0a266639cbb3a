/**
 * The guests of this dock and what a person can ask of them. Promises that every guest in the data folder is
 * found at the start with its QEMU if that still runs, that names are unique here, and that nothing is done to a
 * guest while an operation holds it.
 */
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fail, toWdockError } from '../../../shared/errors/index.ts'
import type { Guest, GuestState, NewGuest } from '../../../shared/models/guest.ts'
import type { Log } from '../../platform/log.ts'
import type { Operations } from '../operations.ts'
import type { StateStore } from '../state-store.ts'
import { type CreationContext, checkSource, fillGuest, newDefinition } from './guest-creation.ts'
import { type GuestRecord, readGuestRecords, writeGuestRecord } from './guest-record.ts'
import { type GuestEnvironment, LocalGuest } from './local-guest.ts'
import { Trash } from './trash.ts'

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

  get trashFolder(): string {
    return this.#trash.folder
  }

  /** Finds guests and their running QEMUs. One that cannot be adopted is shown with the reason. */
  async load(): Promise<void> {
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
    await this.#trash.sweep(env.clock.nowMs())
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

  async act(id: string, action: 'start' | 'pause' | 'resume' | 'shutDown' | 'forceOff'): Promise<Guest> {
    const guest = this.#free(id)
    await guest.exclusively(async () => {
      // Looked at again when its turn has come: a move may have begun meanwhile.
      this.#free(id)
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
      const trashedTo = await this.#trash.put(guest.folder, id)
      this.#drop(guest)
      await rm(guest.runDir, { recursive: true, force: true })
      return { trashedTo }
    })
  }

  async undoRemove(id: string): Promise<Guest> {
    const { env, log } = this.#options
    const guestsDir = join(env.dataDir, 'guests')
    await mkdir(guestsDir, { recursive: true, mode: 0o700 })
    if (!(await this.#trash.takeBack(join(guestsDir, id), id))) throw fail('guest.not_found')
    const record = (await readGuestRecords(guestsDir, log)).find((each) => each.definition.id === id)
    if (record === undefined) throw fail('guest.not_found')
    const guest = await this.register(freshName(record, this), { kind: 'stopped' })
    await guest.refreshDiskUse()
    return guest.view()
  }

  /** Lets every guest run on without this host. */
  release(): void {
    for (const guest of this.#guests.values()) guest.release()
  }

  #free(id: string): LocalGuest {
    const guest = this.get(id)
    this.#options.operations.assertFree(id, guest.name)
    if (guest.view().operationId !== null || guest.state.kind === 'arriving') {
      throw fail('guest.busy', { name: guest.name, what: 'it is moving' })
    }
    if (guest.state.kind === 'unsettled') throw guest.wrongState('used')
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
