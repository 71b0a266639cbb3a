/**
 * One guest on its way into the vault: its memory as QEMU sends it, its disks as QEMU exports them, what it boots from.
 * Promises that a capture which fails or is given up leaves nothing, here or in the store; that a page which the
 * vault has is not sent again, nor read again where it cannot have changed; and that what `complete` has returned for survives this program. Relies on the host
 * to freeze the guest, and to tell the instant.
 *
 * Memory besides the tables of pages: that of the packer, 42 MB while memory is read, and 10 MB while a disk is.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { fail } from '../../shared/errors/index.ts'
import type { CheckpointId } from '../../shared/models/checkpoint.ts'
import { pageBytes } from '../pages/page-id.ts'
import { withPalette } from '../platform/palette-png.ts'
import { readBootFile, readDisk, type TakenRegion } from './capture-content.ts'
import { CaptureFeed } from './capture-feed.ts'
import { MemoryCapture } from './capture-memory.ts'
import type { Manifest, ManifestRegion } from './codec/manifest.ts'
import type { Summary } from './codec/summary.ts'
import type { ContentIds } from './content-ids.ts'
import { buildTables } from './manifest-builder.ts'
import { wholeBytesOf } from './manifest-sizes.ts'
import type { OpenVault } from './open-vault.ts'
import { RegionTable } from './region-table.ts'
import type { CaptureInstant, CaptureStart, FrozenDisk } from './service/vault-service.ts'
import { Upload, type UploadOptions } from './upload.ts'

export interface CaptureOptions {
  vault: OpenVault
  upload: Omit<UploadOptions, 'vault'>
  contents: ContentIds
  start: CaptureStart
  onFirstPart: () => void
  onRead: (memoryBytes: number, diskBytes: number) => void
}

/** How often reading is told, bytes. */
const tellEveryBytes = 4 * 1024 * 1024

export class Capture {
  readonly #options: CaptureOptions
  readonly #upload: Upload
  readonly #known: Awaited<ReturnType<typeof Upload.begin>>['known']
  readonly #feed: CaptureFeed
  readonly #over = new AbortController()
  #memory: MemoryCapture | null = null
  /** Read from the beginning: QEMU takes a while before it sends anything. */
  #bootFiles: Promise<TakenRegion[]> = Promise.resolve([])
  /** Made smaller meanwhile as well. */
  #picture: Promise<Buffer | null> = Promise.resolve(null)
  readonly #disks: TakenRegion[] = []
  #memoryBytes = 0
  #diskBytes = 0
  #toldBytes = 0
  #isComplete = false

  private constructor(options: CaptureOptions, begun: Awaited<ReturnType<typeof Upload.begin>>) {
    this.#options = options
    this.#upload = begun.upload
    this.#known = begun.known
    this.#feed = new CaptureFeed(options.vault, begun.known, begun.upload.sink)
  }

  /** @returns once QEMU may connect @throws what `Upload.begin` throws, host.no_permission */
  static async begin(options: CaptureOptions): Promise<Capture> {
    const { vault, start } = options
    const { byDockId, byDockName, guest } = start
    const intent = { byDockId, byDockName, guestId: guest.id }
    const capture = new Capture(options, await Upload.begin({ ...options.upload, vault, intent }))
    try {
      await capture.#listen()
    } catch (error) {
      await capture.abandon()
      throw error
    }
    capture.#bootFiles = capture.#readBootFiles()
    capture.#bootFiles.catch(() => {})
    capture.#picture = pictureOf(start)
    return capture
  }

  /** What goes on when everything was captured. */
  get upload(): Upload {
    return this.#upload
  }

  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Resolves when the whole stream has been read and every page has its place. @throws qemu.bad_stream, … */
  async memoryCaptured(): Promise<void> {
    await this.#memory?.done
  }

  /** Reads a disk that stands still. @throws as `readDisk` */
  async disk(disk: FrozenDisk): Promise<void> {
    const { contents, start } = this.#options
    const { layers } = start.guest.disks.find(({ nodeName }) => nodeName === disk.nodeName) ?? { layers: [] }
    this.#disks.push(
      await readDisk(disk, {
        ...{ feed: this.#feed, contents, layers, signal: this.#over.signal },
        onBytes: (bytes) => this.#read(0, bytes),
      }),
    )
  }

  /**
   * Everything was read. From here on the checkpoint survives this program.
   * @returns its summary, with what it weighs
   * @throws what reading boot files and the spool throw; host.cancelled
   */
  async complete(instant: CaptureInstant): Promise<Summary> {
    const taken = await this.#regions()
    this.#over.signal.throwIfAborted()
    const totals = await this.#feed.finish()
    const tables = buildTables(
      this.#known.frames,
      taken.map(({ table }) => table.pages),
    )
    const regions = taken.map(({ region, table }) => ({ ...region, idsSha256: table.idsSha256() }))
    const manifest = this.#manifest(instant, regions, tables)
    const summary = this.#summary(instant, wholeBytesOf(manifest), totals.sealedBytes, await this.#picture)
    this.#over.signal.throwIfAborted()
    await this.#upload.complete(manifest, summary)
    this.#isComplete = true
    return summary
  }

  /** Gives the capture or its upload up; nothing stays. */
  async abandon(): Promise<'cancelled' | 'published'> {
    this.#over.abort(fail('host.cancelled'))
    await this.#stopReading()
    return await this.#upload.cancel()
  }

  /** For the end of this program: what is complete goes on at its next start, the rest is lost. */
  async close(): Promise<void> {
    this.#over.abort(fail('host.cancelled'))
    await this.#stopReading()
    await this.#upload.close()
  }

  async #stopReading(): Promise<void> {
    await Promise.allSettled([this.#memory?.done, this.#bootFiles])
    if (!this.#isComplete) await this.#feed.discard()
  }

  async #listen(): Promise<void> {
    const { start, onFirstPart } = this.#options
    const socketPath = start.memorySocketPath
    if (socketPath === null) return
    let before = 0
    this.#memory = await MemoryCapture.listen({
      ...{ socketPath, onFirstPart, feed: this.#feed, signal: this.#over.signal },
      onBytes: (bytes) => {
        this.#read(bytes - before, 0)
        before = bytes
      },
    })
  }

  #read(memoryBytes: number, diskBytes: number): void {
    this.#memoryBytes += memoryBytes
    this.#diskBytes += diskBytes
    const bytes = this.#memoryBytes + this.#diskBytes
    if (bytes - this.#toldBytes < tellEveryBytes) return
    this.#toldBytes = bytes
    this.#options.onRead(this.#memoryBytes, this.#diskBytes)
  }

  /** Memory, devices, disks, boot files. */
  async #regions(): Promise<TakenRegion[]> {
    const regions: TakenRegion[] = []
    if (this.#memory !== null) {
      const { head, tail, tables } = await this.#memory.done
      for (const [block, table] of tables.entries()) {
        const { name, pages } = head.blocks[block] ?? { name: '', pages: 0 }
        regions.push({ region: { kind: 'ram', name, pages, idsSha256: null }, table })
      }
      const bytes = Buffer.concat([head.bytes, tail.bytes])
      const pages = Math.ceil(bytes.length / pageBytes)
      const table = new RegionTable(pages, 'in-order')
      await this.#feed.addRun(table, 0, bytes)
      const lengths = { headBytes: head.bytes.length, tailBytes: tail.bytes.length }
      regions.push({ region: { kind: 'state', ...lengths, pages, idsSha256: null }, table })
    }
    regions.push(...this.#disks)
    regions.push(...(await this.#bootFiles))
    return regions
  }

  async #readBootFiles(): Promise<TakenRegion[]> {
    const regions: TakenRegion[] = []
    const parts = { feed: this.#feed, contents: this.#options.contents, signal: this.#over.signal }
    for (const file of this.#options.start.bootFiles) regions.push(await readBootFile(file, parts))
    return regions
  }

  #manifest(
    { atMs, freezeMs, frozenBy }: CaptureInstant,
    regions: ManifestRegion[],
    tables: Pick<Manifest, 'frames' | 'regions'>,
  ): Manifest {
    const { guest, byDockId, byDockName, reason, qemuVersion, accelerator } = this.#options.start
    const who = { guest, byDockId, byDockName, reason, qemuVersion, accelerator }
    const when = { atMs, freezeMs, frozenBy }
    const checkpointId: CheckpointId = this.#upload.id
    return { head: { version: 1, checkpointId, ...who, ...when, frameKeys: 'derived', regions }, ...tables }
  }

  #summary(
    { atMs, freezeMs }: CaptureInstant,
    wholeBytes: number,
    addedBytes: number,
    picture: Buffer | null,
  ): Summary {
    const { guest, byDockId, byDockName, reason, qemuVersion, label } = this.#options.start
    const diskBytes = guest.disks.reduce((sum, disk) => sum + disk.virtualSizeBytes, 0)
    return {
      picture,
      head: {
        version: 1,
        id: this.#upload.id,
        ...{ guestId: guest.id, guestName: guest.name, label, atMs, byDockId, byDockName, reason },
        ...{
          hasMemory: this.#memory !== null,
          cores: guest.cores,
          memoryBytes: guest.memoryBytes,
          diskBytes,
        },
        ...{ machine: guest.machine, qemuVersion, wholeBytes, addedBytes, freezeMs },
      },
    }
  }
}

/** Not before the host has heard that QEMU may connect. */
async function pictureOf({ picturePng }: CaptureStart): Promise<Buffer | null> {
  if (picturePng === null) return null
  await turn()
  return withPalette(Buffer.from(picturePng))
}
