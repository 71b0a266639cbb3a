/**
 * The local store of sealed frames: what this PC has written, or fetched before, need not be fetched again.
 * Promises a bounded size (the packs used longest ago go first), that it survives crashes, and that nothing in
 * clear ever lies there: frames are put and given as they are in their packs, and opening them is for whoever
 * has the keys. It is a cache: when its disk fails, it says so and forgets; it never makes a reader fail.
 *
 * Files: `<pack id>.pack` for a whole pack; `<pack id>.part` and `<pack id>.parts` for frames of one and their
 * journal (see `cached-pack.ts`). One process at a time.
 */
import { constants } from 'node:fs'
import { copyFile, link, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { WdockError } from '../../shared/errors/index.ts'
import { fsFailure, systemErrorCode } from '../platform/atomic-file.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import { CachedPack } from './cached-pack.ts'

export interface FrameCacheOptions {
  /** A folder of its own; made, 0700, where there is none. */
  folder: string
  /** How many bytes of the disk it may take. */
  limitBytes: number
  clock?: Clock
  /** Told when its disk fails; the cache goes on with what it can. */
  onTrouble?: (error: WdockError) => void
}

export interface FrameCacheUsage {
  packs: number
  /** Of the disk: whole blocks. */
  bytes: number
  limitBytes: number
}

interface Entry {
  pack: CachedPack
  /** What it counts for. */
  bytes: number
  /** When the files were last marked as used. */
  markedMs: number
}

const blockBytes = 4096
/** What `stat` counts blocks in, whatever the file system's are (stat(2)). */
const statBlockBytes = 512
/** Marks of use on the disk are for the order after a restart: they need not be exact. */
const markEveryMs = 10 * 60_000
/** Packs whose files are kept open. */
const mostOpen = 32
const namePattern = /^([0-9a-f]{32})\.(pack|part|parts)$/
const temporaryPattern = /^[0-9a-f]{32}\.tmp$/

export class FrameCache {
  readonly #folder: string
  readonly #clock: Clock
  readonly #onTrouble: (error: WdockError) => void
  #limitBytes: number
  #bytes = 0
  /** By pack id in hex; used longest ago first. */
  readonly #entries = new Map<string, Entry>()
  /** Those of them whose files may be open; used longest ago first. */
  readonly #opened = new Map<string, Entry>()
  /** Packs whose files are being linked or removed: their names must not be used before that is done. */
  readonly #changing = new Map<string, Promise<unknown>>()
  #closed = false

  private constructor(options: FrameCacheOptions) {
    this.#folder = options.folder
    this.#limitBytes = options.limitBytes
    this.#clock = options.clock ?? systemClock
    this.#onTrouble = options.onTrouble ?? (() => {})
  }

  /** @throws host.no_permission, host.disk_full: the folder cannot be used */
  static async open(options: FrameCacheOptions): Promise<FrameCache> {
    const cache = new FrameCache(options)
    try {
      await mkdir(options.folder, { recursive: true, mode: 0o700 })
      await cache.#load()
    } catch (error) {
      throw fsFailure(error, options.folder)
    }
    return cache
  }

  /** What it takes now. */
  usage(): FrameCacheUsage {
    return { packs: this.#entries.size, bytes: this.#bytes, limitBytes: this.#limitBytes }
  }

  /** Whether a frame seems to be here, without reading it. */
  async has(packId: Buffer, offset: number, length: number): Promise<boolean> {
    return (await this.#ask(packId, (pack) => pack.has(offset, length))) ?? false
  }

  /** The sealed bytes of a frame of the pack; null when they are not here. */
  async get(packId: Buffer, offset: number, length: number): Promise<Buffer | null> {
    return await this.#ask(packId, (pack) => pack.read(offset, length))
  }

  /** Keeps a frame as it is in its pack. @returns whether it is here now */
  async put(packId: Buffer, offset: number, sealed: Buffer): Promise<boolean> {
    const id = packId.toString('hex')
    while (this.#changing.has(id)) await this.#changing.get(id)?.catch(() => {})
    const old = this.#entries.get(id)
    if (old?.pack.isWhole) return true
    const bytes = blocksOf(offset, sealed.length)
    if (this.#closed || !this.#makeRoom(bytes, id)) return false
    const entry = old ?? this.#enter(id, new CachedPack(this.#partialPaths(id)))
    this.#count(entry, bytes)
    this.#use(id, entry)
    try {
      const isNew = await entry.pack.write(offset, sealed)
      const now = this.#entries.get(id)
      if (now === entry && !isNew) this.#count(entry, -bytes)
      return now === entry || now?.pack.isWhole === true
    } catch (error) {
      this.#drop(id, entry, error)
      return false
    }
  }

  /**
   * Keeps a whole pack that was written on this PC. The file itself stays: its owner removes it when done with
   * it, and it must not change until then.
   * @returns whether the pack is here now
   */
  async adopt(packId: Buffer, file: string): Promise<boolean> {
    const id = packId.toString('hex')
    try {
      return await this.#change(id, () => this.#adopt(id, file))
    } catch (error) {
      this.#onTrouble(fsFailure(error, file))
      return false
    }
  }

  /** Forgets a pack: what it gave did not open. */
  async forget(packId: Buffer): Promise<void> {
    const id = packId.toString('hex')
    const entry = this.#entries.get(id)
    if (entry !== undefined) await this.#remove(id, entry)
  }

  /** Sets how much it may take, and frees what is beyond. */
  setLimit(limitBytes: number): void {
    this.#limitBytes = limitBytes
    this.#makeRoom(0, '')
  }

  /** Removes everything. */
  async wipe(): Promise<void> {
    while (this.#entries.size > 0 || this.#changing.size > 0) {
      await Promise.all([...this.#entries].map(([id, entry]) => this.#remove(id, entry)))
      await Promise.allSettled(this.#changing.values())
    }
    for (const name of await readdir(this.#folder)) {
      if (isOurs(name)) await rm(join(this.#folder, name), { force: true })
    }
  }

  /** Closes its files, once what was freed is gone. Nothing is given or kept afterwards. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#changing.values())
    await Promise.all([...this.#entries.values()].map((entry) => entry.pack.close()))
  }

  async #ask<T>(packId: Buffer, question: (pack: CachedPack) => Promise<T>): Promise<T | null> {
    const id = packId.toString('hex')
    const entry = this.#entries.get(id)
    if (entry === undefined || this.#closed) return null
    this.#use(id, entry)
    try {
      return await question(entry.pack)
    } catch (error) {
      this.#drop(id, entry, error)
      return null
    }
  }

  /** Notes that a pack is used now. */
  #use(id: string, entry: Entry): void {
    toEnd(this.#entries, id, entry)
    toEnd(this.#opened, id, entry)
    if (this.#opened.size > mostOpen) this.#closeOne()
    const nowMs = this.#clock.nowMs()
    if (Math.abs(nowMs - entry.markedMs) < markEveryMs) return
    entry.markedMs = nowMs
    utimes(entry.pack.path, nowMs / 1000, nowMs / 1000).catch(() => {})
  }

  #closeOne(): void {
    for (const [id, entry] of this.#opened) {
      if (entry.pack.inUse) continue
      this.#opened.delete(id)
      entry.pack.close().catch((error: unknown) => this.#tell(error, entry))
      return
    }
  }

  /** Frees packs until `bytes` more fit, but not `keptId`; nothing if they never can. @returns whether they fit */
  #makeRoom(bytes: number, keptId: string): boolean {
    if ((this.#entries.get(keptId)?.bytes ?? 0) + bytes > this.#limitBytes) return false
    for (const [id, entry] of this.#entries) {
      if (this.#bytes + bytes <= this.#limitBytes) return true
      if (id !== keptId) this.#drop(id, entry, null)
    }
    return this.#bytes + bytes <= this.#limitBytes
  }

  #enter(id: string, pack: CachedPack): Entry {
    const entry = { pack, bytes: 0, markedMs: this.#clock.nowMs() }
    this.#entries.set(id, entry)
    return entry
  }

  #count(entry: Entry, bytes: number): void {
    entry.bytes += bytes
    this.#bytes += bytes
  }

  /** Removes a pack in the background, and says why if there is a reason. */
  #drop(id: string, entry: Entry, reason: unknown): void {
    // Gone by somebody else's hand: nothing that a person could do.
    if (reason !== null && systemErrorCode(reason) !== 'ENOENT') this.#tell(reason, entry)
    void this.#remove(id, entry)
  }

  async #remove(id: string, entry: Entry): Promise<void> {
    if (!this.#leave(id, entry)) return
    await this.#change(id, () => entry.pack.remove()).catch((error: unknown) => this.#tell(error, entry))
  }

  /** Counts and gives a pack no longer. @returns false when it has left already */
  #leave(id: string, entry: Entry): boolean {
    if (this.#entries.get(id) !== entry) return false
    this.#entries.delete(id)
    this.#opened.delete(id)
    this.#bytes -= entry.bytes
    return true
  }

  /** Changes the files of a pack: one change at a time, in their order. */
  async #change<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#changing.get(id)
    const change = (async () => {
      await before?.catch(() => {})
      return await work()
    })()
    // Whoever waits for the change wants to know that it is over, not how it went.
    this.#changing.set(id, change)
    change.catch(() => {})
    try {
      return await change
    } finally {
      if (this.#changing.get(id) === change) this.#changing.delete(id)
    }
  }

  async #adopt(id: string, file: string): Promise<boolean> {
    if (this.#entries.get(id)?.pack.isWhole) return true
    const bytes = blocksOf(0, (await stat(file)).size)
    if (this.#closed || !this.#makeRoom(bytes, id)) return false
    const path = join(this.#folder, `${id}.pack`)
    await this.#linkOrCopy(file, path, id)
    const partial = this.#entries.get(id)
    if (partial !== undefined && this.#leave(id, partial)) await partial.pack.remove()
    this.#count(this.#enter(id, new CachedPack({ data: path, journal: null })), bytes)
    this.#makeRoom(0, id)
    return true
  }

  #tell(error: unknown, entry: Entry): void {
    this.#onTrouble(fsFailure(error, entry.pack.path))
  }

  #partialPaths(id: string): { data: string; journal: string } {
    return { data: join(this.#folder, `${id}.part`), journal: join(this.#folder, `${id}.parts`) }
  }

  /** A second name for the same bytes; a copy where the file system has no such names, or it is another one. */
  async #linkOrCopy(file: string, path: string, id: string): Promise<void> {
    // One that a removal has failed to remove.
    await rm(path, { force: true })
    try {
      await link(file, path)
    } catch (error) {
      const code = systemErrorCode(error) ?? ''
      if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS'].includes(code)) throw error
      const temporary = join(this.#folder, `${id}.tmp`)
      await copyFile(file, temporary, constants.COPYFILE_FICLONE)
      await rename(temporary, path)
    }
  }

  /** Finds what is there; removes what a crash has left half done. */
  async #load(): Promise<void> {
    const names = new Set(await readdir(this.#folder))
    const found: { id: string; pack: CachedPack; bytes: number; usedMs: number }[] = []
    for (const name of names) {
      const [, id = '', kind] = namePattern.exec(name) ?? []
      const isLeft =
        temporaryPattern.test(name) ||
        (kind === 'part' && (names.has(`${id}.pack`) || !names.has(`${id}.parts`))) ||
        (kind === 'parts' && (names.has(`${id}.pack`) || !names.has(`${id}.part`)))
      if (isLeft) await rm(join(this.#folder, name), { force: true })
      else if (kind === 'pack' || kind === 'part') found.push(await this.#find(id, kind))
    }
    for (const { id, pack, bytes, usedMs } of found.sort((a, b) => a.usedMs - b.usedMs)) {
      const entry = this.#enter(id, pack)
      entry.markedMs = usedMs
      this.#count(entry, bytes)
    }
    this.#makeRoom(0, '')
  }

  async #find(id: string, kind: 'pack' | 'part') {
    const paths =
      kind === 'part' ? this.#partialPaths(id) : { data: join(this.#folder, `${id}.pack`), journal: null }
    const { blocks, mtimeMs } = await stat(paths.data)
    return { id, pack: new CachedPack(paths), bytes: blocks * statBlockBytes, usedMs: mtimeMs }
  }
}

function isOurs(name: string): boolean {
  return namePattern.test(name) || temporaryPattern.test(name)
}

/** What a piece of a sparse file takes at most. */
function blocksOf(offset: number, length: number): number {
  const first = Math.floor(offset / blockBytes)
  return (Math.floor((offset + length - 1) / blockBytes) - first + 1) * blockBytes
}

function toEnd<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
}
