/**
 * The facade of this room: other docks as the host sees them. Promises that what it lists as paired is
 * stored, that everything which carries data goes to a dock whose identity is proved, and that `close` leaves
 * no socket or timer behind. Relies on its options for time, chance and the log; PROTOCOL.md says the rest.
 */
import type { Duplex } from 'node:stream'
import { fail } from '../../shared/errors/index.ts'
import { Handlers, requestTimeoutMs } from './calls.ts'
import { ChannelRegistry, controlAlpn, streamUseOf } from './channels.ts'
import { Discovery } from './discovery.ts'
import { DockList } from './dock-list.ts'
import { dockNameSchema, type Identity, openIdentity, readDockName, writeDockName } from './identity.ts'
import { type Link, Links } from './links.ts'
import { Listener } from './listener.ts'
import { type DockListeners, listenersOver } from './listeners.ts'
import { PairingDesk } from './pairing-desk.ts'
import type { AboutDock } from './pairing-messages.ts'
import { Peers } from './peers.ts'
import { Redialler } from './redial.ts'
import { Sightings } from './sightings.ts'
import { openStream, StreamDesk } from './streams.ts'
import type {
  CallOptions,
  DockNetOptions,
  EventListener,
  PairingInfo,
  PeerInfo,
  RequestHandler,
  StreamHandler,
  StreamUse,
} from './types.ts'

export { discoveryFromEnvironment } from './interfaces.ts'
export type * from './types.ts'

/** By which a dock tells its peers that it goes by another name. */
const renamedEvent = 'dock.renamed'

export class DockNet {
  readonly id: string
  readonly #options: DockNetOptions
  readonly #identity: Identity
  readonly #peers: Peers
  readonly #sightings = new Sightings()
  readonly #registry = new ChannelRegistry((dockId) => this.#peers.has(dockId))
  readonly #handlers = new Handlers()
  readonly #streams: StreamDesk
  readonly #links: Links
  readonly #redialler: Redialler
  readonly #list: DockList
  readonly #pairing: PairingDesk
  readonly #told: DockListeners
  #name: string
  #listener: Listener | null = null
  #discovery: Discovery | null = null
  #closed = false

  private constructor(options: DockNetOptions, identity: Identity, peers: Peers, name: string) {
    const { log, clock, random } = options
    this.#options = options
    this.#identity = identity
    this.#peers = peers
    this.#name = name
    this.id = identity.id
    this.#streams = new StreamDesk(log)
    this.#told = listenersOver(log)
    this.#handlers.onEvent(renamedEvent, ({ dockId }, name) => this.#onRenamed(dockId, name))
    this.#links = new Links({
      ownId: this.id,
      session: random.hex(16),
      about: () => this.#about(),
      handlers: this.#handlers,
      registry: this.#registry,
      clock,
      log,
      online: (dockId, link) => this.#onOnline(dockId, link),
      offline: (dockId) => this.#onOffline(dockId),
      disowned: (dockId) => this.#note(this.#forget(dockId)),
    })
    this.#list = new DockList({
      ownId: this.id,
      peers: this.#peers,
      sightings: this.#sightings,
      links: this.#links,
      clock,
    })
    this.#redialler = new Redialler({
      identity: this.#identity,
      links: this.#links,
      registry: this.#registry,
      random,
      log,
      addressesOf: (dockId) => (this.#closed ? null : this.#list.addressesOf(dockId)),
      nameOf: (dockId) => this.#list.nameOf(dockId),
    })
    this.#pairing = new PairingDesk({
      identity: this.#identity,
      clock,
      random,
      log,
      about: () => this.#about(),
      isPeer: (dockId) => this.#peers.has(dockId),
      store: (dockId, about, host) => this.#store(dockId, about, host),
      unstore: (dockId) => this.#note(this.#forget(dockId)),
      changed: () => this.#onPairingChanged(),
      penalise: (host) => this.#listener?.penalise(host),
    })
  }

  /**
   * Opens the identity and the list of peers, listens, announces itself and dials paired docks.
   * @throws host.state_unreadable, host.port_in_use, host.bad_input (address), host.no_permission
   */
  static async open(options: DockNetOptions): Promise<DockNet> {
    const identity = await openIdentity(options.configDir, options.random)
    const peers = await Peers.open(options.configDir)
    const name = await readDockName(options.configDir, options.name)
    const net = new DockNet(options, identity, peers, name)
    await net.#start()
    return net
  }

  get name(): string {
    return this.#name
  }

  get port(): number {
    return this.#listener?.port ?? 0
  }

  /** Stores and announces another name. @throws host.bad_input, host.disk_full, host.no_permission */
  async setName(name: string): Promise<void> {
    this.#name = await writeDockName(this.#options.configDir, name)
    this.emit('all', renamedEvent, this.#name)
    await this.#discovery?.rename(this.#name)
    this.#told.peersChanged.tell()
  }

  /** Paired docks and unpaired ones nearby, by name. */
  peers(): PeerInfo[] {
    return this.#list.all()
  }

  onPeersChanged(listener: () => void): () => void {
    return this.#told.peersChanged.add(listener)
  }

  /**
   * Learns who answers at an address; a paired dock is also connected.
   * @throws dock.unreachable, dock.silent, dock.rate_limited, host.bad_input for this PC itself
   */
  async connectByAddress(host: string, port: number): Promise<PeerInfo> {
    const address = { host, port }
    const { dockId, about } = await this.#pairing.ask(address)
    if (dockId === this.id) throw fail('host.bad_input', { why: 'that is the address of this PC' })
    const { name, appVersion } = about
    this.#sightings.typed(dockId, { name, appVersion, address, atMs: this.#options.clock.nowMs() })
    if (this.#peers.has(dockId)) await this.#redialler.now(dockId)
    this.#told.peersChanged.tell()
    return this.#list.info(dockId)
  }

  /** @throws dock.not_found, pairing.busy, pairing.already_paired, dock.unreachable, dock.identity_changed */
  async startPairing(dockId: string): Promise<PairingInfo> {
    if (this.#peers.has(dockId)) throw fail('pairing.already_paired')
    const addresses = this.#sightings.addressesOf(dockId)
    if (addresses.length === 0) throw fail('dock.not_found')
    return this.#pairing.start(dockId, this.#list.nameOf(dockId), addresses)
  }

  /** The person here says that both screens show the same digits. @throws pairing.not_found, host.bad_input */
  async confirmPairing(pairingId: string): Promise<void> {
    this.#pairing.confirm(pairingId)
  }

  /** @throws pairing.not_found */
  async refusePairing(pairingId: string): Promise<void> {
    this.#pairing.refuse(pairingId)
  }

  /** A person has read how a pairing ended: it is listed no longer. */
  async dismissPairing(pairingId: string): Promise<void> {
    this.#pairing.dismiss(pairingId)
  }

  /** The ceremony under way, or how the last one ended; one at most. */
  pairings(): PairingInfo[] {
    return this.#pairing.list()
  }

  onPairing(listener: () => void): () => void {
    return this.#told.pairingChanged.add(listener)
  }

  /** Ends a pairing: cuts every channel at once and tells the other dock if it can. @throws dock.not_found */
  async unpair(dockId: string): Promise<void> {
    if (!this.#peers.has(dockId)) throw fail('dock.not_found')
    this.#links.drop(dockId, fail('dock.not_paired', { dock: this.#name }))
    await this.#forget(dockId)
  }

  /** Notes whether guests of this dock may be kept ready there. @throws dock.not_found, host.disk_full */
  async setKeepsReady(dockId: string, keepsReady: boolean): Promise<void> {
    if (!this.#peers.has(dockId)) throw fail('dock.not_found')
    await this.#peers.note(dockId, { keepsReady })
    this.#told.peersChanged.tell()
  }

  onUnpaired(listener: (dockId: string) => void): () => void {
    return this.#told.unpaired.add(listener)
  }

  /**
   * Calls a method of a paired dock; dials first if it is not online. Default timeout 10 s.
   * @throws what the far handler threw; dock.not_paired, dock.unreachable, dock.silent, dock.link_lost,
   * host.cancelled, host.bad_input when over 1 MiB
   */
  async request(dockId: string, method: string, params: unknown, options?: CallOptions): Promise<unknown> {
    const link = await this.#linkTo(dockId, options)
    return link.calls.request(method, params, options)
  }

  handle(method: string, handler: RequestHandler): void {
    this.#handlers.handle(method, handler)
  }

  /** Tells docks that are online; others don't learn of it. */
  emit(dockId: string | 'all', event: string, data: unknown): void {
    for (const [id, { control }] of this.#links.all()) {
      if (dockId === 'all' || dockId === id) control.send({ kind: 'event', name: event, data })
    }
  }

  onEvent(event: string, listener: EventListener): () => void {
    return this.#handlers.onEvent(event, listener)
  }

  onOnline(listener: (dockId: string) => void): () => void {
    return this.#told.online.add(listener)
  }

  onOffline(listener: (dockId: string) => void): () => void {
    return this.#told.offline.add(listener)
  }

  /**
   * Opens a byte stream; resolves when the far handler has accepted `header` (JSON, at most 64 KiB).
   * Half-open: each side ends its own half. Default timeout 10 s.
   * @throws what the far handler threw; dock.not_paired, dock.unreachable, dock.silent, host.cancelled
   */
  async openStream(dockId: string, use: StreamUse, header: unknown, options?: CallOptions): Promise<Duplex> {
    const link = await this.#linkTo(dockId, options)
    return openStream({
      ...options,
      identity: this.#identity,
      registry: this.#registry,
      address: link.address,
      dockId,
      dockName: link.name,
      use,
      header,
    })
  }

  /** The handler throws to refuse. What it returns gets the stream after the far end has been told. */
  handleStream(use: StreamUse, handler: StreamHandler): void {
    this.#streams.handle(use, handler)
  }

  /** How often this side pings a dock that is online; a new link starts with 5000 again. */
  setHeartbeat(dockId: string, intervalMs: number): void {
    this.#links.get(dockId)?.control.setHeartbeat(intervalMs)
  }

  /** Says goodbye and closes everything; requests of ours fail. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#pairing.close()
    this.#links.dropAll()
    await Promise.all([this.#discovery?.stop(), this.#redialler.close()])
    this.#registry.cutAll()
    await this.#listener?.close()
    await this.#peers.close()
  }

  async #start(): Promise<void> {
    const { bindAddress, clock, discovery, log, port } = this.#options
    this.#listener = await Listener.open({
      identity: this.#identity,
      port: port ?? 0,
      bindAddress,
      registry: this.#registry,
      clock,
      log,
      isPeer: (dockId) => this.#peers.has(dockId),
      onPairing: (channel, host) => void this.#pairing.receive(channel, host),
      onChannel: (channel, alpn) => {
        const use = streamUseOf(alpn)
        if (alpn === controlAlpn) void this.#links.admit(channel, null)
        else if (use !== null) void this.#streams.receive(channel, use, this.#list.fromOf(channel.dockId))
      },
    })
    log.info('docks listening', { dockId: this.id, port: this.port })
    if (discovery !== false) {
      this.#discovery = new Discovery({
        dockId: this.id,
        name: this.#name,
        port: this.port,
        interfaces: discovery === true ? [] : discovery.interfaces,
        clock,
        log,
        found: (hint) => {
          this.#sightings.found(hint, clock.nowMs())
          if (this.#peers.has(hint.dockId)) this.#redialler.kick(hint.dockId)
          this.#told.peersChanged.tell()
        },
        lost: (dockId) => {
          this.#sightings.lost(dockId)
          this.#told.peersChanged.tell()
        },
      })
    }
    for (const { id } of this.#peers.all()) void this.#redialler.now(id)
  }

  #about(): AboutDock {
    return { name: this.#name, appVersion: this.#options.appVersion, port: this.port }
  }

  async #linkTo(dockId: string, options: CallOptions = {}): Promise<Link> {
    const dock = this.#list.nameOf(dockId)
    if (!this.#peers.has(dockId)) throw fail('dock.not_paired', { dock })
    const up = this.#links.get(dockId)
    if (up !== null) return up
    const deadline = AbortSignal.timeout(options.timeoutMs ?? requestTimeoutMs)
    const signal = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline
    const failure = await this.#redialler.bring(dockId, (listener) => this.#told.online.add(listener), signal)
    const link = this.#links.get(dockId)
    if (link !== null) return link
    throw options.signal?.aborted ? fail('host.cancelled') : (failure ?? fail('dock.unreachable', { dock }))
  }

  #onOnline(dockId: string, { address, appVersion, name }: Link): void {
    const seen = { name, appVersion, lastSeenAtMs: this.#options.clock.nowMs() }
    this.#note(this.#peers.note(dockId, seen, address))
    this.#told.peersChanged.tell()
    this.#told.online.tell(dockId)
  }

  #onRenamed(dockId: string, data: unknown): void {
    const name = dockNameSchema.safeParse(data)
    const link = this.#links.get(dockId)
    if (!name.success || link === null) return
    link.name = name.data
    this.#note(this.#peers.note(dockId, { name: name.data }))
    this.#told.peersChanged.tell()
  }

  #onOffline(dockId: string): void {
    if (!this.#closed && this.#peers.has(dockId)) {
      this.#note(this.#peers.note(dockId, { lastSeenAtMs: this.#options.clock.nowMs() }))
      this.#redialler.schedule(dockId)
    }
    this.#told.offline.tell(dockId)
    this.#told.peersChanged.tell()
  }

  async #store(dockId: string, about: AboutDock, host: string): Promise<void> {
    const nowMs = this.#options.clock.nowMs()
    await this.#peers.add({
      id: dockId,
      name: about.name,
      addresses: [{ host, port: about.port }],
      lastSeenAtMs: nowMs,
      pairedAtMs: nowMs,
      appVersion: about.appVersion,
      keepsReady: false,
    })
  }

  #onPairingChanged(): void {
    for (const { dockId, state } of this.#pairing.list()) {
      if (state.kind === 'ended' && state.outcome === 'paired' && this.#peers.has(dockId)) {
        this.#redialler.kick(dockId)
      }
    }
    this.#told.pairingChanged.tell()
    this.#told.peersChanged.tell()
  }

  /** The pairing is over, whoever ended it. */
  async #forget(dockId: string): Promise<void> {
    if (!this.#peers.has(dockId)) return
    const stored = this.#peers.remove(dockId)
    this.#redialler.forget(dockId)
    this.#registry.cut(dockId)
    this.#options.log.info('dock unpaired', { dockId })
    this.#told.unpaired.tell(dockId)
    this.#told.peersChanged.tell()
    await stored
  }

  /** Notes about a peer are worth no failure of what is going on. */
  #note(written: Promise<void>): void {
    written.catch((error: unknown) => this.#options.log.warn('list of peers not written', { error }))
  }
}
