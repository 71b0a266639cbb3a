/**
 * Files that both docks have, read as pages: boot files, and the layers of a disk that never change. What a guest has
 * read from them into its memory need not cross. Promises that a page which is found has that id in the file right now.
 * Synchronous, for the thread of a visit; relies on the two docks naming the same content by the same id.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { IdFinder } from '../pages/kept/id-finder.ts'
import { isZeroPage, PageHasher, pageBytes, pageIdBytes } from '../pages/page-id.ts'

export interface FilePlace {
  /** Of the content: a layer's id, or a boot file's hash. */
  id: string
  path: string
}

/** What is said of a file to the other dock. */
export interface FileName {
  id: string
  /** Whole pages; what is behind them is not used. */
  pages: number
}

interface OpenFile extends FileName {
  descriptor: number
  /** The number of its first page, counted through all files. */
  first: number
  /** Whether the other dock has it, too. */
  isShared: boolean
}

/** What is read at once to be recognised later. */
const pieceBytes = 1024 * 1024
/** Pages that can be found: 4 GiB of files, in 8 MiB of memory. */
const mostEntries = 2 ** 20

export class KnownFiles {
  readonly #files: OpenFile[] = []
  readonly #scratch = Buffer.alloc(pageBytes)
  readonly #scratchId = Buffer.alloc(pageIdBytes)
  #hasher: PageHasher | null = null
  #finder: IdFinder | null = null
  #piece: Buffer | null = null
  /** How far files have been read to be found. */
  #next = { file: 0, page: 0, indexed: 0 }

  /** Files that cannot be read are left out. */
  constructor(places: readonly FilePlace[]) {
    let first = 0
    for (const { id, path } of places) {
      const file = open(path)
      if (file === null) continue
      if (file.pages === 0) {
        closeSync(file.descriptor)
        continue
      }
      this.#files.push({ id, ...file, first, isShared: false })
      first += file.pages
    }
  }

  get names(): readonly FileName[] {
    return this.#files
  }

  /** How many pages all of them have. */
  get pages(): number {
    const last = this.#files.at(-1)
    return last === undefined ? 0 : last.first + last.pages
  }

  /** Of the files that the other dock named: which are here, and then are counted as it counts them. */
  matchTo(named: readonly FileName[]): boolean[] {
    let first = 0
    const own = new Map(this.#files.map((file) => [file.id, file]))
    this.#files.length = 0
    return named.map(({ id, pages }) => {
      const file = own.get(id)
      own.delete(id)
      const isShared = file !== undefined && file.pages === pages
      const descriptor = isShared ? file.descriptor : -1
      this.#files.push({ id, pages, descriptor, first, isShared })
      if (file !== undefined && !isShared) closeSync(file.descriptor)
      first += pages
      return isShared
    })
  }

  /** Which of the files that were named the other dock has. */
  share(flags: readonly boolean[], idKey: Buffer): void {
    let pages = 0
    for (const [index, file] of this.#files.entries()) {
      file.isShared = flags[index] === true
      if (file.isShared) pages += file.pages
    }
    if (pages === 0) return
    this.#hasher = new PageHasher(idKey)
    this.#finder = new IdFinder(Math.min(mostEntries, Math.max(64, 4 * 2 ** Math.ceil(Math.log2(pages)))))
    this.#piece = Buffer.allocUnsafe(pieceBytes)
  }

  /** Reads on, so that more can be found. @returns whether there is more */
  indexSome(): boolean {
    const file = this.#files[this.#next.file]
    const piece = this.#piece
    if (file === undefined || piece === null || this.#next.indexed >= mostEntries) return false
    const pages = file.isShared ? readPages(file, this.#next.page, piece) : 0
    for (let page = 0; page < pages; page += 1) this.#index(piece, page, file.first + this.#next.page + page)
    this.#next.page += pages
    if (pages === 0 || this.#next.page >= file.pages)
      this.#next = { ...this.#next, file: this.#next.file + 1, page: 0 }
    return true
  }

  /** The number of a page of this id; -1 when none is known. */
  find(ids: Uint8Array, at: number): number {
    return this.#finder === null ? -1 : this.#finder.find(ids, at, this.#hasId)
  }

  /** @returns false when there is no such page, or it cannot be read */
  readInto(page: number, out: Buffer, at: number): boolean {
    const file = this.#files.find(({ first, pages }) => page >= first && page < first + pages)
    if (file === undefined || !file.isShared) return false
    try {
      const position = (page - file.first) * pageBytes
      return readSync(file.descriptor, out, at, pageBytes, position) === pageBytes
    } catch {
      return false
    }
  }

  close(): void {
    for (const { descriptor } of this.#files) if (descriptor >= 0) closeSync(descriptor)
    this.#files.length = 0
  }

  readonly #hasId = (page: number, ids: Uint8Array, at: number): boolean => {
    if (!this.readInto(page, this.#scratch, 0)) return false
    this.#hasher?.idOf(this.#scratch, 0, this.#scratchId)
    return this.#scratchId.equals(ids.subarray(at, at + pageIdBytes))
  }

  #index(piece: Buffer, page: number, number: number): void {
    if (isZeroPage(piece, page * pageBytes)) return
    this.#hasher?.idOf(piece, page * pageBytes, this.#scratchId)
    this.#finder?.add(this.#scratchId, 0, number)
    this.#next.indexed += 1
  }
}

function open(path: string): { descriptor: number; pages: number } | null {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch {
    return null
  }
  return { descriptor, pages: Math.floor(fstatSync(descriptor).size / pageBytes) }
}

function readPages({ descriptor, pages }: OpenFile, first: number, piece: Buffer): number {
  const wantedBytes = Math.min(piece.length, (pages - first) * pageBytes)
  try {
    return Math.floor(readSync(descriptor, piece, 0, wantedBytes, first * pageBytes) / pageBytes)
  } catch {
    return 0
  }
}
