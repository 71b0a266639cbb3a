/**
 * What this dock keeps of a guest's memory from the end of one visit to the next, so that only what changed
 * crosses the link: which page lies at which address, and every page of it. See KEPT.md for the files.
 * Synchronous, for a thread of its own during a migration.
 *
 * Promises that a page is never a wrong one, that memory is bounded whatever the guest's size, and that no
 * failing disk ends a migration: from the first error on nothing more is stored, ids go on being known, and
 * `finish` says what was wrong. Relies on one visit of a guest at a time, and on `finish` or `discard` being
 * called, last.
 */
import { fsFailure } from '../../platform/atomic-file.ts'
import { chunkPages } from './chunk.ts'
import { finishVisit } from './finish.ts'
import { type KeptBlock, sameBlocks } from './kept-block.ts'
import { trying } from './kept-disk.ts'
import { keptFiles, makeSalt, readSalt, removeLeftovers } from './kept-files.ts'
import { type KeptOptions, keptDefaults } from './kept-options.ts'
import { guestKeyOf, keyBytes } from './kept-seal.ts'
import { KeptVisit } from './kept-visit.ts'
import { mostPages, TableFile } from './table-file.ts'
import type { VisitNote } from './visit-note.ts'

/** What a visit was when it was finished. */
export interface KnownVisit {
  /** 16 bytes. */
  visit: Buffer
  /** Under which the ids were made, 32 bytes. */
  idKey: Buffer
  blocks: readonly KeptBlock[]
}

/** How a visit begins. */
export interface VisitStart {
  idKey: Buffer
  blocks: readonly KeptBlock[]
  /**
   * `known`: from what is known, of which the blocks and the key of the ids are the same. `nothing`: empty.
   */
  from: 'known' | 'nothing'
}

const visitBytes = 16

/**
 * Opens what is kept of one guest. Nothing there, damaged beyond use, of another version, sealed with another
 * key: nothing is known, and it is removed when the next visit is finished.
 * @param folder of this guest; made when missing @param dockKey 32 bytes @param options for tests
 */
export function openKept(folder: string, dockKey: Buffer, options: Partial<KeptOptions> = {}): KeptPages {
  return new KeptPages(folder, dockKey, { ...keptDefaults, ...options })
}

export class KeptPages {
  /** From the last visit that was finished before this was opened; null when nothing is known. */
  readonly known: KnownVisit | null
  readonly #folder: string
  readonly #dockKey: Buffer
  readonly #options: KeptOptions
  readonly #table: TableFile | null
  /** Null while there is no salt. */
  #guestKey: Buffer | null
  /** The first address of each block, and the one behind the last. */
  #bases: number[] = []
  #start: VisitStart | null = null
  #visit: KeptVisit | null = null

  /** Use `openKept`. */
  constructor(folder: string, dockKey: Buffer, options: KeptOptions) {
    if (dockKey.length !== keyBytes) throw new RangeError('the key of a dock has 32 bytes')
    const { disk } = options
    this.#folder = folder
    this.#dockKey = dockKey
    this.#options = options
    trying(() => disk.makeFolder(folder))
    const salt = readSalt(disk, folder)
    this.#guestKey = salt === null ? null : guestKeyOf(dockKey, salt)
    this.#table =
      this.#guestKey === null ? null : TableFile.open(disk, keptFiles(folder).table, this.#guestKey)
    this.known = this.#table === null ? null : knownOf(this.#table)
  }

  /**
   * Begins a visit: once, before anything below.
   * @throws RangeError when it is to start from what is known, and the blocks or the key of the ids are
   * others
   */
  begin(start: VisitStart): void {
    if (this.#start !== null) throw new Error('a visit was begun before')
    const { idKey, blocks, from } = start
    if (idKey.length !== keyBytes) throw new RangeError('the key of ids has 32 bytes')
    if (from === 'known' && !isOf(this.known, start)) throw new RangeError('not what is known')
    const bases = [0]
    for (const { pages } of blocks)
      bases.push((bases.at(-1) ?? 0) + Math.ceil(pages / chunkPages) * chunkPages)
    if (!((bases.at(-1) ?? 0) <= mostPages)) throw new RangeError('more pages than can be kept')
    this.#bases = bases
    this.#start = {
      idKey: Buffer.from(idKey),
      blocks: blocks.map(({ name, pages }) => ({ name, pages })),
      from,
    }
    const { guestKey, trouble } = this.#saltedKey()
    this.#removeLeftovers()
    this.#visit = new KeptVisit({
      ...this.#options,
      folder: this.#folder,
      guestKey,
      chunks: this.end / chunkPages,
      table: from === 'known' ? this.#table : null,
      trouble,
    })
  }

  /** The first address of a block. */
  base(block: number): number {
    const base = block < this.#bases.length - 1 ? this.#bases[block] : undefined
    if (base === undefined) throw new RangeError('no such block')
    return base
  }

  /** The address behind the last. */
  get end(): number {
    return this.#bases.at(-1) ?? 0
  }

  /** How much is in memory, for tests. */
  get inMemory(): { chunks: number; frames: number } {
    const { table, segments } = this.#under()
    return { chunks: table.slots, frames: segments.openedFrames }
  }

  /** Whether the page at this address is known to have this id: 16 bytes at `ids[at]`. */
  idEquals(address: number, ids: Uint8Array, at: number): boolean {
    return this.#under().table.idEquals(address, ids, at)
  }

  /** Writes the id that is known at the address to `out`, for tests. @returns false when none is */
  idAt(address: number, out: Buffer, at: number): boolean {
    return this.#under().table.copyId(address, out, at)
  }

  /**
   * An address that has a page of this id now, though perhaps not its content; or -1. Does not know of all.
   */
  find(ids: Buffer, at: number): number {
    return this.#under().find(ids, at)
  }

  /** Copies the content of the page to `out`. @returns false when it is not here, or damaged */
  readInto(address: number, out: Buffer, at: number): boolean {
    return this.#under().readInto(address, out, at)
  }

  /** There is new content at the address. */
  putPage(address: number, ids: Buffer, idAt: number, pages: Buffer, pageAt: number): void {
    this.#under().putPage(address, ids, idAt, pages, pageAt)
  }

  /** What is known at `from`, id and content, is now at `address` as well; nothing, where nothing is. */
  putCopy(address: number, from: number): void {
    this.#under().putCopy(address, from)
  }

  /** The pages are zeros now, or not there: nothing is known of them any more. */
  putZero(address: number, count: number): void {
    this.#under().table.clear(address, count)
  }

  /** The other dock says that the page at the address has this id; its content is not here. */
  putForeign(address: number, ids: Buffer, at: number): void {
    this.#under().putForeign(address, ids, at)
  }

  /**
   * Tells all ids that are known, in the order of their addresses, at most 1024 at a time; good during the
   * call.
   */
  eachKnown(tell: (address: number, ids: Buffer, count: number) => void): void {
    this.#under().eachKnown(tell)
  }

  /**
   * Makes the state of now what is known from here on, durably; then this is over. May take long. Pages
   * without content are not part of it. @param visit 16 random bytes
   * @throws host.disk_full, host.no_permission, host.unexpected: the disk failed, now or during the visit;
   * then what was known before is as it was, unless the error came when all was in place
   */
  finish(visit: Buffer, note: VisitNote): void {
    const state = this.#under()
    const [start, guestKey] = [this.#start, this.#guestKey]
    if (visit.length !== visitBytes) throw new RangeError('a visit has 16 bytes')
    let isInPlace = false
    try {
      if (state.trouble !== null) throw state.trouble
      if (start === null || guestKey === null) throw new Error('without a key')
      const header = {
        visit: visit.toString('hex'),
        idKey: start.idKey.toString('hex'),
        blocks: [...start.blocks],
        note,
      }
      const { table, segments } = state
      const work = { ...this.#options, folder: this.#folder, guestKey, table, segments, header }
      finishVisit(work, () => {
        isInPlace = true
      })
    } catch (error) {
      if (isInPlace) this.#close()
      else this.discard()
      throw fsFailure(error, this.#folder)
    }
    this.#close()
  }

  /** The visit failed: what was known before is as it was. At any time, also again. */
  discard(): void {
    this.#visit?.segments.removeNew(0)
    if (this.#visit !== null) trying(() => this.#options.disk.remove(keptFiles(this.#folder).newTable))
    this.#close()
  }

  #under(): KeptVisit {
    if (this.#visit === null) throw new Error('no visit is under way')
    return this.#visit
  }

  /** A salt that cannot be written is in memory only, and nothing is stored. */
  #saltedKey(): { guestKey: Buffer; trouble: unknown } {
    if (this.#guestKey !== null) return { guestKey: this.#guestKey, trouble: null }
    const { disk, random } = this.#options
    try {
      this.#guestKey = guestKeyOf(this.#dockKey, makeSalt(disk, random, this.#folder))
      return { guestKey: this.#guestKey, trouble: null }
    } catch (trouble) {
      return { guestKey: random.bytes(keyBytes), trouble }
    }
  }

  /**
   * What an earlier visit left that did not get to its end. What cannot be read stays until something takes
   * its place.
   */
  #removeLeftovers(): void {
    if (this.#table === null) return
    const ids = new Set(this.#table.header.segments.map(({ id }) => id))
    removeLeftovers(this.#options.disk, this.#folder, ids)
  }

  #close(): void {
    this.#visit?.close()
    this.#visit = null
    this.#table?.close()
    // Nothing can be begun after this.
    this.#start ??= { idKey: Buffer.alloc(0), blocks: [], from: 'nothing' }
  }
}

function knownOf({ header }: TableFile): KnownVisit {
  const { visit, idKey, blocks } = header
  return { visit: Buffer.from(visit, 'hex'), idKey: Buffer.from(idKey, 'hex'), blocks }
}

function isOf(known: KnownVisit | null, { idKey, blocks }: VisitStart): boolean {
  return known?.idKey.equals(idKey) === true && sameBlocks(known.blocks, blocks)
}
