/**
 * The place where this dock keeps checkpoints: chosen, opened, shown, forgotten. Promises that the host's start never
 * waits for it, that a place which does not open is tried again for as long as it is chosen, that what people see is
 * in the state, and that no secret of it is. Relies on the vault's thread, which is started when it is first needed.
 */

import { rm } from 'node:fs/promises'
import {
  type ErrorShape,
  errorFromShape,
  fail,
  toWdockError,
  type WdockError,
} from '../../../shared/errors/index.ts'
import type {
  ListState,
  PlaceFinding,
  VaultList,
  VaultPlace,
  VaultState,
} from '../../../shared/models/checkpoint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { OneAtATime } from '../../platform/one-at-a-time.ts'
import type { KeyPlace, KeyStore } from '../../vault/key-store.ts'
import type {
  OpenedVault,
  VaultEvent,
  VaultFolders,
  VaultService,
} from '../../vault/service/vault-service.ts'
import type { StateStore } from '../state-store.ts'
import type { ChosenPlace, PlaceFile } from './chosen-place.ts'
import type { ConnectVault, VaultConnection } from './vault-connection.ts'

export interface VaultDeskOptions {
  connect: ConnectVault
  folders: VaultFolders
  file: PlaceFile
  keys: Pick<KeyStore, 'save' | 'load' | 'remove' | 'sentence'>
  store: StateStore
  clock: Clock
  log: Log
  /** Why the vault must not be let go of now, in words; null when nothing needs it. */
  inUse: () => string | null
}

/** Waits between tries to open the chosen place. A drive is plugged in, a keyring is unlocked. */
const retryMs = [2000, 5000, 15_000, 60_000, 300_000] as const

export class VaultDesk {
  readonly #options: VaultDeskOptions
  readonly #listeners = new Set<(event: VaultEvent) => void>()
  readonly #openedListeners = new Set<(service: VaultService) => void>()
  readonly #closed = new AbortController()
  #connection: VaultConnection | null = null
  readonly #queue = new OneAtATime()
  #opening: AbortController | null = null

  constructor(options: VaultDeskOptions) {
    this.#options = options
  }

  get state(): VaultState {
    return this.#options.store.state.vault
  }

  /** What was chosen; null when nothing was. */
  get chosen(): ChosenPlace | null {
    return this.#options.file.current
  }

  /** Reads what was chosen and begins to open it. Never fails: what is wrong is shown. */
  async start(): Promise<void> {
    try {
      const chosen = await this.#options.file.read()
      if (chosen !== null) this.#beginOpening(chosen)
    } catch (error) {
      this.#show({ kind: 'failed', placeSentence: '', error: toWdockError(error).toJSON() })
    }
  }

  /** Ends the thread; what is on its way goes on at the next start. */
  async close(): Promise<void> {
    this.#closed.abort()
    await this.#stopOpening()
    await this.#connection?.end()
    await this.#queue.idle()
    this.#connection = null
  }

  /** The vault, open. @throws vault.none, vault.opening, or why it does not open */
  opened(): VaultService {
    const { state } = this
    switch (state.kind) {
      case 'none':
        throw fail('vault.none')
      case 'opening':
        throw fail('vault.opening')
      case 'failed':
        throw errorFromShape(state.error)
      case 'ready':
        return this.service()
    }
  }

  /** The vault's thread, whether or not a vault is open: a link needs none. */
  service(): VaultService {
    if (this.#closed.signal.aborted) throw fail('vault.opening')
    this.#connection ??= this.#connect()
    return this.#connection.service
  }

  /** Calls `listener` with what the vault tells by itself. @returns a function that stops it */
  onEvent(listener: (event: VaultEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls `listener` each time that a vault is open. */
  onOpened(listener: (service: VaultService) => void): () => void {
    this.#openedListeners.add(listener)
    return () => this.#openedListeners.delete(listener)
  }

  /** Whether there is a vault at a place. @throws store.* */
  async look(place: VaultPlace): Promise<PlaceFinding> {
    return await this.service().look(place)
  }

  /** Makes a vault in an empty place. @returns its recovery phrase @throws vault.one_already, store.*, host.disk_full */
  async create(place: VaultPlace): Promise<string> {
    return await this.#replace(async (service) => {
      const { phrase, ...opened } = await service.create(place, this.#options.folders)
      await this.#adopt(place, opened, false)
      return phrase
    })
  }

  /** Opens a vault by its recovery phrase. @throws vault.one_already, vault.wrong_phrase, store.*, host.disk_full */
  async open(place: VaultPlace, phrase: string): Promise<void> {
    await this.#replace(async (service) => {
      const opened = await service.open(place, this.#options.folders, { phrase })
      await this.#adopt(place, opened, true)
    })
  }

  async phrase(): Promise<string> {
    return await this.opened().phrase()
  }

  /** The person has written the phrase down. */
  async phraseSeen(): Promise<void> {
    this.opened()
    await this.#options.file.change({ phraseSeen: true })
    this.#change({ phraseSeen: true })
  }

  /**
   * Forgets place and key. Nothing in the vault is touched; what was still on its way there is given up.
   * @throws vault.in_use
   */
  async forget(): Promise<void> {
    await this.#stopOpening()
    await this.#inTurn(async () => {
      this.#assertUnused()
      const { file, keys, folders, store } = this.#options
      const chosen = file.current
      await this.#connection?.service.close().catch(() => {})
      await file.forget()
      if (chosen !== null) await keys.remove(chosen.vaultId)
      for (const path of [folders.spool, folders.cache]) await rm(path, { recursive: true, force: true })
      this.#show({ kind: 'none' })
      store.apply({ type: 'checkpoints.listed', checkpoints: [] })
      for (const { shareId } of store.state.lentLinks) store.apply({ type: 'lent.removed', shareId })
    })
  }

  /** Shows whether a list was read. */
  noteList(list: VaultList, state: ListState): void {
    this.#change({ [list]: state })
  }

  /** Notes when space was freed. */
  async noteSweep(atMs: number): Promise<void> {
    await this.#options.file.change({ sweptAtMs: atMs })
  }

  #connect(): VaultConnection {
    const connection = this.#options.connect((event) => this.#onEvent(event))
    void connection.died.then((error) => this.#onDeath(connection, error))
    return connection
  }

  #onEvent(event: VaultEvent): void {
    if (event.type === 'trouble') this.#noteTrouble(event.error)
    for (const listener of [...this.#listeners]) listener(event)
  }

  #noteTrouble(error: ErrorShape | null): void {
    const { state } = this
    if (state.kind !== 'ready') return
    const sinceMs = state.trouble?.sinceMs ?? this.#options.clock.nowMs()
    this.#change({ trouble: error === null ? null : { error, sinceMs } })
  }

  /** The thread is started again; what was on its way is found by opening the vault. */
  #onDeath(connection: VaultConnection, error: WdockError): void {
    if (connection !== this.#connection || this.#closed.signal.aborted) return
    this.#options.log.error('the vault’s thread ended', { error: error.toJSON() })
    this.#connection = null
    const { chosen } = this
    if (chosen !== null && this.#opening === null) this.#beginOpening(chosen, retryMs[0])
  }

  #beginOpening(chosen: ChosenPlace, delayMs = 0): void {
    const opening = new AbortController()
    this.#opening = opening
    this.#show({ kind: 'opening', placeSentence: chosen.placeSentence })
    void this.#keepOpening(chosen, opening.signal, delayMs).finally(() => {
      if (this.#opening === opening) this.#opening = null
    })
  }

  async #keepOpening(chosen: ChosenPlace, signal: AbortSignal, delayMs: number): Promise<void> {
    const { clock, log } = this.#options
    for (let tries = 0; ; tries += 1) {
      const waitMs = tries === 0 ? delayMs : (retryMs[tries - 1] ?? retryMs.at(-1) ?? 0)
      if (waitMs > 0) await clock.sleep(waitMs, signal).catch(() => {})
      if (signal.aborted) return
      const error = await this.#inTurn(() => this.#openChosen(chosen, signal))
      if (error === null) return
      log.warn('the vault did not open', { error: error.toJSON() })
      const { placeSentence } = chosen
      if (!signal.aborted) this.#show({ kind: 'failed', placeSentence, error: error.toJSON() })
    }
  }

  async #openChosen(chosen: ChosenPlace, signal: AbortSignal): Promise<WdockError | null> {
    if (signal.aborted) return null
    const { keys, file, folders } = this.#options
    try {
      const kept = await keys.load(chosen.vaultId)
      if (signal.aborted) return null
      if (kept === null) throw fail('vault.key_gone')
      const { vaultKey, place: keyPlace } = kept
      const opened = await this.service().open(file.unseal(chosen, vaultKey), folders, { vaultKey })
      if (!signal.aborted) this.#ready(opened, keyPlace)
      return null
    } catch (error) {
      return toWdockError(error)
    }
  }

  /** Another vault takes the place of none, or of one that does not open. */
  async #replace<T>(work: (service: VaultService) => Promise<T>): Promise<T> {
    this.#assertNone()
    await this.#stopOpening()
    return await this.#inTurn(async () => {
      this.#assertNone()
      this.#assertUnused()
      try {
        return await work(this.service())
      } catch (error) {
        // What was chosen before is still chosen, and tried again.
        const { chosen } = this
        if (chosen !== null && this.state.kind !== 'ready') this.#beginOpening(chosen, retryMs[0])
        throw error
      }
    })
  }

  async #adopt(place: VaultPlace, opened: OpenedVault, phraseSeen: boolean): Promise<void> {
    const { keys, file } = this.#options
    const { vaultId, placeSentence } = opened
    const before = file.current
    const vaultKey = Buffer.from(opened.vaultKey)
    try {
      const keyPlace = await keys.save(vaultId, vaultKey)
      await file.choose({ vaultId, place, placeSentence, phraseSeen }, vaultKey)
      if (before !== null && before.vaultId !== vaultId) await keys.remove(before.vaultId)
      this.#ready(opened, keyPlace)
    } catch (error) {
      await this.service()
        .close()
        .catch(() => {})
      throw error
    }
  }

  #ready({ vaultId, placeSentence, canLend }: OpenedVault, keyPlace: KeyPlace): void {
    const { chosen } = this
    if (chosen === null) return
    this.#show({
      kind: 'ready',
      vaultId,
      placeKind: chosen.placeKind,
      placeSentence,
      keySentence: this.#options.keys.sentence(vaultId, keyPlace),
      canLend,
      phraseSeen: chosen.phraseSeen,
      trouble: null,
      checkpointList: { kind: 'reading' },
      lentList: { kind: 'reading' },
    })
    for (const listener of [...this.#openedListeners]) listener(this.service())
  }

  #assertNone(): void {
    const { state } = this
    if (state.kind !== 'ready' && state.kind !== 'opening') return
    throw fail('vault.one_already', { place: state.placeSentence })
  }

  /** A try to open that is under way may wait for a store that does not answer: its thread is ended. */
  async #stopOpening(): Promise<void> {
    const opening = this.#opening
    this.#opening = null
    opening?.abort()
    if (opening === null || this.state.kind === 'ready') return
    const connection = this.#connection
    this.#connection = null
    await connection?.end()
  }

  #assertUnused(): void {
    const what = this.#options.inUse()
    if (what !== null) throw fail('vault.in_use', { what })
  }

  #show(vault: VaultState): void {
    this.#options.store.apply({ type: 'vault.changed', vault })
  }

  #change(change: Partial<Extract<VaultState, { kind: 'ready' }>>): void {
    const { state } = this
    if (state.kind === 'ready') this.#show({ ...state, ...change })
  }

  /** One thing at a time with the vault as a whole. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work)
  }
}
