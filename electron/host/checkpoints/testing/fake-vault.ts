/**
 * A vault in memory for tests of the host: it listens for memory and takes disks as the real one does, keeps nothing of
 * them, publishes when it is told to, and can be made to fail, to hang and to die. Places are told apart by their
 * paths; what was made in one is there when it is opened again.
 */
import { createServer, type Server } from 'node:net'
import { fail, type WdockError } from '../../../../shared/errors/index.ts'
import type {
  Checkpoint,
  CheckpointId,
  CheckpointLabel,
  LentLink,
  PlaceFinding,
  VaultPlace,
} from '../../../../shared/models/checkpoint.ts'
import type {
  CaptureInstant,
  CaptureStart,
  FrozenDisk,
  OpenedVault,
  VaultEvent,
  VaultService,
} from '../../../vault/service/vault-service.ts'
import type { ConnectVault, VaultConnection } from '../vault-connection.ts'

interface KeptVault {
  vaultId: string
  vaultKey: Buffer
  phrase: string
  checkpoints: Map<CheckpointId, Checkpoint>
}

interface Capture {
  start: CaptureStart
  server: Server | null
  received: Promise<void>
  bytes: number
  disks: FrozenDisk[]
}

type Method = keyof VaultService

/** What all threads of a test share: the stores behind them, and how calls fare. */
export class FakeVaults {
  readonly vaults = new Map<string, KeptVault>()
  readonly calls: string[] = []
  readonly captures = new Map<string, Capture>()
  /** Called before a call is answered: to fail it, or to let it wait. */
  readonly before = new Map<Method, () => Promise<void> | void>()
  /** Whether what is kept is published at once. */
  publishes = true
  /** What the vault does with a disk. */
  onDisk: (disk: FrozenDisk) => Promise<void> = async () => {}
  connections = 0
  #tell: (event: VaultEvent) => void = () => {}
  #die: (error: WdockError) => void = () => {}

  readonly connect: ConnectVault = (onEvent): VaultConnection => {
    this.connections += 1
    this.#tell = onEvent
    const died = Promise.withResolvers<WdockError>()
    this.#die = died.resolve
    const service = new FakeVault(this, onEvent)
    return {
      service: service.guarded(),
      died: died.promise,
      end: async () => service.end(),
    }
  }

  emit(event: VaultEvent): void {
    this.#tell(event)
  }

  /** The thread ends by itself. */
  die(): void {
    this.#die(fail('host.unexpected', {}, { detail: 'the thread ended' }))
  }

  /** Publishes what is on its way. */
  publish(id: CheckpointId, asId = id): void {
    for (const { checkpoints } of this.vaults.values()) {
      const found = checkpoints.get(id)
      if (found === undefined) continue
      const checkpoint = { ...found, id: asId, place: { kind: 'vault' } as const }
      checkpoints.delete(id)
      checkpoints.set(asId, checkpoint)
      this.emit({ type: 'upload.published', captureId: id, checkpoint, previousId: id })
    }
  }
}

class FakeVault implements VaultService {
  readonly #shared: FakeVaults
  readonly #tell: (event: VaultEvent) => void
  readonly #ended = Promise.withResolvers<never>()
  #open: KeptVault | null = null

  constructor(shared: FakeVaults, tell: (event: VaultEvent) => void) {
    this.#shared = shared
    this.#tell = tell
    this.#ended.promise.catch(() => {})
  }

  /** Every call is written down, may be made to fail or wait, and fails when the thread ends. */
  guarded(): VaultService {
    return new Proxy(this, {
      get: (target, name: Method) => {
        const method = (target[name] as (...args: unknown[]) => Promise<unknown>).bind(target)
        return (...args: unknown[]) => {
          this.#shared.calls.push(name)
          const answer = async (): Promise<unknown> => {
            await this.#shared.before.get(name)?.()
            return await method(...args)
          }
          return Promise.race([answer(), this.#ended.promise])
        }
      },
    })
  }

  end(): void {
    this.#ended.reject(fail('host.cancelled'))
    for (const { server } of this.#shared.captures.values()) server?.close()
  }

  async look(place: VaultPlace): Promise<PlaceFinding> {
    return this.#shared.vaults.has(nameOf(place)) ? 'vault' : 'empty'
  }

  async create(place: VaultPlace): Promise<OpenedVault & { phrase: string }> {
    const number = this.#shared.vaults.size + 1
    const vault: KeptVault = {
      vaultId: number.toString(16).padStart(32, '0'),
      vaultKey: Buffer.alloc(32, number),
      phrase: `phrase ${number}`,
      checkpoints: new Map(),
    }
    this.#shared.vaults.set(nameOf(place), vault)
    this.#open = vault
    return { ...opened(vault, place), phrase: vault.phrase }
  }

  async open(
    place: VaultPlace,
    _folders: unknown,
    secret: { phrase: string } | { vaultKey: Uint8Array },
  ): Promise<OpenedVault> {
    const vault = this.#shared.vaults.get(nameOf(place))
    if (vault === undefined) throw fail('store.folder_missing', { path: nameOf(place) })
    if ('phrase' in secret && secret.phrase !== vault.phrase) throw fail('vault.wrong_phrase')
    if ('vaultKey' in secret && !vault.vaultKey.equals(secret.vaultKey)) throw fail('vault.wrong_key')
    this.#open = vault
    for (const checkpoint of vault.checkpoints.values()) {
      if (checkpoint.place.kind === 'on-its-way')
        this.#tell({ type: 'upload.kept', captureId: checkpoint.id, checkpoint })
    }
    return opened(vault, place)
  }

  async phrase(): Promise<string> {
    return this.#vault.phrase
  }

  async close(): Promise<void> {
    this.#open = null
  }

  async list(): Promise<Checkpoint[]> {
    return [...this.#vault.checkpoints.values()]
  }

  async picture(): Promise<Uint8Array | null> {
    return null
  }

  async relabel(id: CheckpointId, change: Partial<CheckpointLabel>): Promise<Checkpoint> {
    const found = this.#vault.checkpoints.get(id)
    if (found === undefined) throw fail('vault.checkpoint_missing')
    const changed = { ...found, label: { ...found.label, ...change } }
    this.#vault.checkpoints.set(id, changed)
    return changed
  }

  async remove(id: CheckpointId): Promise<void> {
    if (!this.#vault.checkpoints.delete(id)) throw fail('vault.checkpoint_missing')
  }

  async stats() {
    return { checkpoints: 0, packs: 0, storedBytes: 0, unusedBytes: 0, logicalBytes: 0 }
  }

  async check() {
    return { checkpoints: 0, readBytes: 0, damaged: [] }
  }

  async sweep() {
    return { freedBytes: 1 }
  }

  async cancelWork(): Promise<void> {}

  async beginCapture(start: CaptureStart): Promise<void> {
    const done = Promise.withResolvers<void>()
    done.promise.catch(() => {})
    const capture: Capture = { start, server: null, received: done.promise, bytes: 0, disks: [] }
    this.#shared.captures.set(start.captureId, capture)
    if (start.memorySocketPath === null) return
    const { captureId } = start
    const server = createServer((socket) => {
      socket.on('data', (chunk: Buffer) => {
        if (capture.bytes === 0) this.#tell({ type: 'capture.first-part', captureId })
        capture.bytes += chunk.length
        this.#tell({ type: 'capture.read', captureId, memoryBytes: capture.bytes, diskBytes: 0 })
      })
      socket.on('error', () => {})
      socket.on('close', () => {
        server.close()
        if (capture.bytes > 0) done.resolve()
        else done.reject(fail('qemu.bad_stream'))
      })
    })
    capture.server = server
    await new Promise<void>((resolve) => server.listen(start.memorySocketPath, resolve))
  }

  async memoryCaptured(captureId: string): Promise<void> {
    await this.#capture(captureId).received
  }

  async captureDisk(captureId: string, disk: FrozenDisk): Promise<void> {
    await this.#shared.onDisk(disk)
    this.#capture(captureId).disks.push(disk)
  }

  async completeCapture(captureId: string, instant: CaptureInstant): Promise<Checkpoint> {
    const { start } = this.#capture(captureId)
    const checkpoint = checkpointOf(start, instant)
    this.#vault.checkpoints.set(captureId, checkpoint)
    this.#tell({ type: 'upload.kept', captureId, checkpoint })
    if (this.#shared.publishes) setImmediate(() => this.#shared.publish(captureId))
    return checkpoint
  }

  async abandonCapture(captureId: string): Promise<'cancelled' | 'published'> {
    if (this.#open?.checkpoints.get(captureId)?.place.kind === 'vault') return 'published'
    this.#shared.captures.get(captureId)?.server?.close()
    this.#shared.captures.delete(captureId)
    this.#open?.checkpoints.delete(captureId)
    return 'cancelled'
  }

  async beginRestore(): Promise<never> {
    throw fail('vault.checkpoint_missing')
  }
  async restoreBootFile(): Promise<void> {}
  async serveDisk(): Promise<never> {
    throw fail('vault.checkpoint_missing')
  }
  async sendMemory(): Promise<void> {}
  async endRestore(): Promise<void> {}
  async lend(): Promise<never> {
    throw fail('vault.checkpoint_missing')
  }
  async revoke(): Promise<void> {}
  async lent(): Promise<LentLink[]> {
    return []
  }
  async lookAtLink(): Promise<never> {
    throw fail('vault.checkpoint_missing')
  }

  get #vault(): KeptVault {
    if (this.#open === null) throw fail('vault.none')
    return this.#open
  }

  #capture(id: string): Capture {
    const found = this.#shared.captures.get(id)
    if (found === undefined) throw fail('host.cancelled')
    return found
  }
}

function nameOf(place: VaultPlace): string {
  return place.kind === 'folder' ? place.path : place.kind
}

function opened({ vaultId, vaultKey }: KeptVault, place: VaultPlace): OpenedVault {
  return { vaultId, vaultKey, placeSentence: `the folder ${nameOf(place)}`, canLend: false }
}

function checkpointOf(start: CaptureStart, instant: CaptureInstant): Checkpoint {
  const { guest, byDockId, byDockName, reason, label, qemuVersion } = start
  return {
    ...{ id: start.captureId, guestId: guest.id, guestName: guest.name, label },
    ...{ byDockId, byDockName, reason, qemuVersion, machine: guest.machine },
    atMs: instant.atMs,
    hasMemory: start.memorySocketPath !== null,
    cores: guest.cores,
    memoryBytes: guest.memoryBytes,
    diskBytes: 0,
    wholeBytes: 1000,
    addedBytes: 100,
    freezeMs: instant.freezeMs,
    hasPicture: start.picturePng !== null,
    verifiedAtMs: null,
    place: { kind: 'on-its-way' },
  }
}
