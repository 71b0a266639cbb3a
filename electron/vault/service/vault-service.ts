/**
 * What the host asks of the vault. The work is done in a worker thread (`vault-worker.ts`), so that hashing,
 * compressing, sealing and sending never hold up the host; everything here is plain data that crosses to it and back.
 * Promises that every failure is a coded error, that one call never waits for another without need, and that
 * work which was cut off by a crash is found again by `open`.
 */
import type { ErrorShape } from '../../../shared/errors/index.ts'
import type {
  Checkpoint,
  CheckpointId,
  CheckpointLabel,
  CheckpointReason,
  LentLink,
  PlaceFinding,
  ReceivedLink,
  VaultCheck,
  VaultPlace,
  VaultStats,
  VaultWork,
} from '../../../shared/models/checkpoint.ts'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'

export interface VaultFolders {
  /** What is on its way into the vault; survives crashes and reboots. */
  spool: string
  /** Sealed frames and summaries that need not be fetched again; may be deleted at any time. */
  cache: string
  /** Where Azure's emulator keeps what it is given. */
  azurite: string
  /** The most that `cache` may take. */
  cacheLimitBytes: number
}

export interface OpenedVault {
  vaultId: string
  vaultKey: Uint8Array
  placeSentence: string
  canLend: boolean
}

/** A disk of a guest that was frozen, as its NBD export. */
export interface FrozenDisk {
  nodeName: string
  virtualSizeBytes: number
  nbdSocketPath: string
  exportName: string
}

export interface CaptureStart {
  /** The host's name for the work. */
  captureId: string
  guest: GuestDefinition
  byDockId: string
  byDockName: string
  reason: CheckpointReason
  label: CheckpointLabel
  qemuVersion: string
  accelerator: 'kvm' | 'tcg'
  picturePng: Uint8Array | null
  /** Where QEMU is going to connect to with its stream; null for a guest that is off. Short: unix sockets. */
  memorySocketPath: string | null
  /** Files that the guest boots from, by SHA-256, with their paths on this PC. */
  bootFiles: readonly { sha256: string; path: string }[]
}

/** What is known once the guest was frozen. */
export interface CaptureInstant {
  atMs: number
  freezeMs: number | null
  frozenBy: 'background-snapshot' | 'pre-copy' | 'stopped' | 'off'
}

export interface CheckpointFacts {
  checkpoint: Checkpoint
  guest: GuestDefinition
  accelerator: 'kvm' | 'tcg'
  qemuVersion: string
  hasMemory: boolean
  /** Of its memory, what is in the checkpoint: pages of zeros and what was not plugged in are not. */
  memoryDataBytes: number
  /** `dataBytes`: of the disk, what is in the checkpoint. */
  disks: readonly { nodeName: string; virtualSizeBytes: number; dataBytes: number }[]
  bootFiles: readonly { sha256: string; lengthBytes: number }[]
}

/** Bytes of work that takes a while, by the id that the host gave it. */
export interface WorkProgress {
  doneBytes: number
  totalBytes: number | null
}

/** What the worker tells by itself. */
export type VaultEvent =
  /** The first pages of a capture's stream have arrived: QEMU 10 may be told to go on. */
  | { type: 'capture.first-part'; captureId: string }
  /** Of guest state read so far. */
  | { type: 'capture.read'; captureId: string; memoryBytes: number; diskBytes: number }
  /** Of the upload. */
  | { type: 'upload.progress'; captureId: string; progress: WorkProgress }
  /** All is kept on this PC: the checkpoint survives this program, and is sent when the store answers. */
  | { type: 'upload.kept'; captureId: string; checkpoint: Checkpoint }
  | { type: 'upload.published'; captureId: string; checkpoint: Checkpoint; previousId: CheckpointId }
  | { type: 'upload.failed'; captureId: string; error: ErrorShape }
  | { type: 'restore.progress'; restoreId: string; progress: WorkProgress }
  /** The store does not answer while a restored guest needs it; null when it does again. */
  | { type: 'restore.trouble'; restoreId: string; error: ErrorShape | null }
  /** The guest has everything; or its memory can never be whole. */
  | { type: 'restore.memory-done'; restoreId: string; error: ErrorShape | null }
  | { type: 'share.changed'; link: LentLink }
  | { type: 'work.progress'; workId: string; progress: VaultWork['progress'] }
  /** The store does not answer; what waits goes on by itself. Null when it does again. */
  | { type: 'trouble'; error: ErrorShape | null }

export interface RestoreMemory {
  /** Where QEMU waits: `migrate-incoming unix:…`. */
  socketPath: string
  /**
   * `whole`: everything is fetched first, then played as a plain migration. `post-copy`: QEMU has `postcopy-ram`
   * set, the guest runs at once and gets its pages as it touches them. `rehearsal`: as `post-copy`, but the guest gets
   * only what it asks for, for `rehearsalMs` at most; that is stored for the next restore, and it gets nothing more.
   */
  how: 'whole' | 'post-copy' | 'rehearsal'
}

/** How long a guest runs in a rehearsal at most, its devices' loading included, in milliseconds. */
export const rehearsalMs = 5000

export interface VaultService {
  look(place: VaultPlace): Promise<PlaceFinding>
  create(place: VaultPlace, folders: VaultFolders): Promise<OpenedVault & { phrase: string }>
  /** Also goes on with uploads that were cut off. */
  open(
    place: VaultPlace,
    folders: VaultFolders,
    secret: { phrase: string } | { vaultKey: Uint8Array },
  ): Promise<OpenedVault>
  phrase(): Promise<string>
  close(): Promise<void>

  /** Everything that is listed, unreadable ones included, and what is still on its way from this PC. */
  list(): Promise<Checkpoint[]>
  picture(id: CheckpointId): Promise<Uint8Array | null>
  relabel(id: CheckpointId, change: Partial<CheckpointLabel>): Promise<Checkpoint>
  /** One that is still on its way is given up. */
  remove(id: CheckpointId): Promise<void>
  stats(): Promise<VaultStats>
  check(options: { readData: boolean; workId: string }): Promise<VaultCheck>
  sweep(workId: string): Promise<{ freedBytes: number }>
  /** Ends a check or a sweep with `host.cancelled`. */
  cancelWork(workId: string): Promise<void>

  /** Listens for the guest's memory. Resolves when QEMU may connect. */
  beginCapture(start: CaptureStart): Promise<void>
  /** Resolves when the whole stream has been read and every page has its place. @throws qemu.bad_stream, … */
  memoryCaptured(captureId: string): Promise<void>
  /** Reads a disk that stands still. */
  captureDisk(captureId: string, disk: FrozenDisk): Promise<void>
  /** Everything was read. Resolves when it is kept on this PC (`upload.kept`); it is published later. */
  completeCapture(captureId: string, instant: CaptureInstant): Promise<Checkpoint>
  /** Gives a capture or its upload up; nothing stays. @returns `published` when it was too late */
  abandonCapture(captureId: string): Promise<'cancelled' | 'published'>

  /** Opens a checkpoint of the vault, or of a link, for one restore. */
  beginRestore(
    restoreId: string,
    from: { checkpointId: CheckpointId } | { link: string },
  ): Promise<CheckpointFacts>
  /** Writes a boot file. */
  restoreBootFile(restoreId: string, sha256: string, path: string): Promise<void>
  /** Serves a disk over NBD, read-only, until `endRestore`. Several disks, one socket each. */
  serveDisk(restoreId: string, nodeName: string, socketPath: string): Promise<{ exportName: string }>
  /** Connects to a QEMU that waits. Resolves when the stream has begun; `restore.memory-done` tells its end. */
  sendMemory(restoreId: string, memory: RestoreMemory): Promise<void>
  endRestore(restoreId: string): Promise<void>

  lend(id: CheckpointId, span: { startMs: number | null; endMs: number | null }): Promise<LentLink>
  revoke(shareId: string): Promise<void>
  lent(): Promise<LentLink[]>
  lookAtLink(link: string): Promise<ReceivedLink>
}
