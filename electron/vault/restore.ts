/**
 * One checkpoint on its way back: its disks served over NBD, its memory played to a QEMU, its boot files written. Promises
 * that nothing but what the manifest says is ever given; that memory which is given as a whole is checked against its
 * hash before the guest gets its devices; that a store which does not answer is asked again until `close`. Relies on
 * private folders for its sockets.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { fail, type WdockError } from '../../shared/errors/index.ts'
import type { BlockProvider } from '../disk/nbd-connection.ts'
import { NbdServer } from '../disk/nbd-server.ts'
import type { LentObjects } from '../objects/object-store.ts'
import type { FrameKeyOf } from '../pages/frame.ts'
import type { FrameCache } from '../pages/frame-cache.ts'
import { pageBytes } from '../pages/page-id.ts'
import { fsFailure } from '../platform/atomic-file.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Manifest } from './codec/manifest.ts'
import type { WarmSet } from './codec/warm.ts'
import { CheckpointReader } from './reader.ts'
import { RegionReader } from './region-reader.ts'
import { type MemorySending, RestoreMemorySender } from './restore-memory.ts'
import type { RestoreMemory } from './service/vault-service.ts'

export interface RestoreOptions {
  manifest: Manifest
  store: Pick<LentObjects, 'getRange'>
  /** Not asked behind a link, whose manifest lists the keys. */
  frameKeyOf: FrameKeyOf
  /** For checking memory against its hash; null behind a link, where there are no page ids. */
  pageIdKey: Buffer | null
  frames: FrameCache | null
  /** What a guest touched first the last time; null when nothing was recorded. */
  warm: WarmSet | null
  /** Keeps what was recorded; null where that cannot be. */
  saveWarm: ((warm: WarmSet) => Promise<void>) | null
  clock: Clock
  log: Log
  onTrouble: (error: WdockError | null) => void
  onProgress: (doneBytes: number, totalBytes: number) => void
  onMemoryDone: (error: WdockError | null) => void
}

export class Restore {
  readonly #options: RestoreOptions
  readonly #over = new AbortController()
  readonly #reader: CheckpointReader
  readonly #readers: readonly RegionReader[]
  readonly #servers: NbdServer[] = []
  #memory: MemorySending | null = null

  constructor(options: RestoreOptions) {
    const { manifest, store, frameKeyOf, frames, clock, onTrouble } = options
    this.#options = options
    this.#reader = new CheckpointReader(manifest, { store, frameKeyOf, frames, clock, onTrouble })
    this.#readers = manifest.regions.map((_, region) => new RegionReader(this.#reader, region))
    this.#fetchWarm()
  }

  /**
   * While QEMU is being started the link has nothing else to do, and frames that lie together are read together: page
   * by page, in the order of the recording, most of the time would be spent on round trips.
   */
  #fetchWarm(): void {
    const { warm, log } = this.#options
    const { signal } = this.#over
    if (warm === null) return
    this.#reader.prefetch(warm.runs, { signal }).catch((error: unknown) => {
      // It is asked for again when the guest needs it, and told then.
      if (!signal.aborted) log.warn('what a guest touches first was not fetched beforehand', { error })
    })
  }

  get manifest(): Manifest {
    return this.#options.manifest
  }

  /** Writes a boot file, whole or not at all. @throws vault.damaged, host.bad_input, host.disk_full, … */
  async bootFile(sha256: string, path: string): Promise<void> {
    const { reader, region } = this.#region((each) => each.kind === 'boot-file' && each.sha256 === sha256)
    if (region.kind !== 'boot-file') return
    let file: FileHandle
    try {
      file = await open(path, 'wx', 0o600)
    } catch (error) {
      throw fsFailure(error, path)
    }
    try {
      const hash = createHash('sha256')
      let leftBytes = region.lengthBytes
      // QEMU does not start without it: it goes before what is fetched beforehand.
      for await (const bytes of reader.inOrder()) {
        const piece = bytes.subarray(0, leftBytes)
        leftBytes -= piece.length
        hash.update(piece)
        await file.writeFile(piece)
      }
      if (hash.digest('hex') !== sha256) throw fail('vault.damaged', {}, { detail: `boot file ${sha256}` })
      await file.sync()
      await file.close()
    } catch (error) {
      await file.close().catch(() => {})
      await rm(path, { force: true })
      throw fsFailure(error, path)
    }
  }

  /** Serves a disk, read-only, until `close`. @throws host.bad_input, host.no_permission */
  async serveDisk(nodeName: string, socketPath: string): Promise<{ exportName: string }> {
    const { reader, region } = this.#region((each) => each.kind === 'disk' && each.nodeName === nodeName)
    if (region.kind !== 'disk') throw noSuch()
    const server = await NbdServer.listen({
      socketPath,
      exportName: nodeName,
      provider: diskProvider(reader, region.virtualSizeBytes),
      // QEMU lays an overlay over it.
      skipHoles: true,
      onReadError: (error, offset, lengthBytes) =>
        this.#options.log.error('a disk could not be read', { nodeName, offset, lengthBytes, error }),
    })
    if (this.#over.signal.aborted) {
      await server.close()
      throw fail('host.cancelled')
    }
    this.#servers.push(server)
    return { exportName: nodeName }
  }

  /**
   * Connects to a QEMU that waits. @returns once the stream has begun; `onMemoryDone` tells its end
   * @throws host.bad_input when there is no memory; qemu.load_failed; vault.damaged, …
   */
  async sendMemory(memory: RestoreMemory): Promise<void> {
    if (this.#memory !== null) throw fail('host.bad_input', { why: 'memory is being sent already' })
    const { manifest, warm, saveWarm, pageIdKey, clock, log } = this.#options
    const { onProgress, onMemoryDone } = this.#options
    this.#region(({ kind }) => kind === 'state')
    const sender = new RestoreMemorySender({
      ...{ manifest, readers: this.#readers, warm, saveWarm, pageIdKey, clock, log, onProgress },
      signal: this.#over.signal,
    })
    this.#memory = await sender.start(memory)
    this.#memory.done.then(
      () => onMemoryDone(null),
      (error: WdockError) => onMemoryDone(error),
    )
  }

  /** Ends everything: a guest that does not have all of its memory yet dies. */
  async close(): Promise<void> {
    this.#over.abort(fail('host.cancelled'))
    // Before the reads under way fail: a QEMU that is cut off waits for the next server, one that is told of an error
    // tells its guest.
    const cutOff = Promise.all(this.#servers.map((server) => server.close()))
    // Whoever waits for the store stops waiting.
    this.#reader.close()
    await this.#memory?.done.catch(() => {})
    await cutOff
  }

  #region(isIt: (region: Manifest['head']['regions'][number]) => boolean) {
    const index = this.#options.manifest.head.regions.findIndex(isIt)
    const region = this.#options.manifest.head.regions[index]
    const reader = this.#readers[index]
    if (region === undefined || reader === undefined) throw noSuch()
    return { region, reader }
  }
}

function noSuch(): WdockError {
  return fail('host.bad_input', { why: 'this checkpoint has no such part' })
}

function diskProvider(reader: RegionReader, sizeBytes: number): BlockProvider {
  return {
    sizeBytes,
    read: async (offset, lengthBytes) => {
      const first = Math.floor(offset / pageBytes)
      const count = Math.ceil((offset + lengthBytes) / pageBytes) - first
      // Long reads are a copy under way, short ones a guest that waits.
      const bytes = await reader.read(first, count, lengthBytes >= 256 * 1024)
      const at = offset - first * pageBytes
      return bytes.subarray(at, at + lengthBytes)
    },
    *extents(offset, lengthBytes) {
      const first = Math.floor(offset / pageBytes)
      const end = offset + lengthBytes
      for (const span of reader.spans(first, Math.ceil(end / pageBytes) - first)) {
        const from = Math.max(offset, span.page * pageBytes)
        const until = Math.min(end, (span.page + span.count) * pageBytes)
        yield { lengthBytes: until - from, kind: span.kind }
      }
    },
  }
}
