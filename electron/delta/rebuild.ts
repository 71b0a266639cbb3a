/**
 * Rebuilds a batch: the bytes for QEMU, and the skeleton that the check is computed over. Promises that what it puts
 * into the kept pages is known there by the id that it computed itself. Relies on its owner to hand nothing to QEMU
 * before the check is right.
 */
import type { KeptBlock } from '../pages/kept/kept-block.ts'
import { PageHasher } from '../pages/page-id.ts'
import { pageBytes, ramFlag } from '../qemu/stream/grammar.ts'
import { putRecordHead } from '../qemu/stream/ram-section.ts'
import { checkOf, mostSkeletonBytes } from './batch.ts'
import { type BatchParts, type RecordScope, type RecordSink, tellRecords } from './batch-reader.ts'
import { limits, pageIdBytes } from './grammar.ts'
import type { KeptMemory } from './kept-memory.ts'
import type { KnownFiles } from './known-files.ts'
import { badMessage } from './messages.ts'

export interface RebuildOptions {
  kept: KeptMemory
  /** Counted as the sender counts them. */
  files: KnownFiles
  idKey: Buffer
  blocks: readonly KeptBlock[]
}

export class Rebuild implements RecordSink {
  readonly #kept: KeptMemory
  readonly #files: KnownFiles
  readonly #hasher: PageHasher
  readonly #blocks: readonly { name: string; base: number }[]
  readonly #scope: RecordScope
  readonly #skeleton = Buffer.allocUnsafe(mostSkeletonBytes)
  readonly #ids = Buffer.alloc(limits.pages * pageIdBytes)
  /** Of each page that is not zeros: where it is in the stream, in the skeleton, and in memory. */
  readonly #streamAts = new Uint32Array(limits.pages)
  readonly #skeletonAts = new Uint32Array(limits.pages)
  readonly #addresses = new Float64Array(limits.pages)
  #pages = 0
  #skeletonBytes = 0
  #out: Buffer = Buffer.alloc(0)
  #outBytes = 0
  #carried: Buffer = Buffer.alloc(0)

  constructor({ kept, files, idKey, blocks }: RebuildOptions) {
    this.#kept = kept
    this.#files = files
    this.#hasher = new PageHasher(idKey)
    this.#blocks = blocks.map(({ name }, index) => ({ name, base: kept.base(index) }))
    this.#scope = { blocks: blocks.map(({ pages }) => pages), end: kept.end + files.pages, block: 0 }
  }

  /** @param out room for `mostBatchStreamBytes` @returns how many bytes it came to. @throws delta.bad_message */
  begin(parts: BatchParts, out: Buffer): number {
    this.#out = out
    this.#outBytes = 0
    this.#skeletonBytes = 0
    this.#pages = 0
    this.#carried = parts.carried
    tellRecords(parts, this, this.#scope)
    return this.#outBytes
  }

  /** Whether this is what the sender had. */
  isRight(check: Buffer): boolean {
    return checkOf(this.#skeleton.subarray(0, this.#skeletonBytes)).equals(check)
  }

  /** Of the pages that are not zeros, as they are now. */
  get ids(): Buffer {
    return this.#ids.subarray(0, this.#pages * pageIdBytes)
  }

  /** Puts pages of the sender in place of what was wrong. @throws delta.bad_message */
  repair(positions: readonly number[], pages: Buffer): void {
    for (const [index, position] of positions.entries()) {
      if (position >= this.#pages) throw badMessage(`a repair of page ${position} of ${this.#pages}`)
      const at = this.#streamAts[position] ?? 0
      pages.copy(this.#out, at, index * pageBytes, (index + 1) * pageBytes)
      this.#identify(position)
      this.#keep(position)
    }
  }

  bytes(piece: Buffer): void {
    this.#skeletonBytes += piece.copy(this.#skeleton, this.#skeletonBytes)
    this.#outBytes += piece.copy(this.#out, this.#outBytes)
  }

  zero(block: number, page: number, named: boolean): void {
    this.#header(block, page, named, ramFlag.zero)
    this.#out[this.#outBytes++] = 0
    this.#skeleton[this.#skeletonBytes++] = 0
    this.#kept.putZero(this.#address(block, page), 1)
  }

  same(block: number, page: number, named: boolean): void {
    this.#page(block, page, named)
    const address = this.#address(block, page)
    this.#fill(this.#kept.readInto(address, this.#out, this.#outBytes))
    this.#identify(this.#pages)
    // What is not here, or not right, is going to be repaired.
    this.#next()
  }

  held(block: number, page: number, named: boolean, from: number): void {
    if (from >= this.#kept.end) {
      this.#fromFile(block, page, named, from - this.#kept.end)
      return
    }
    this.#page(block, page, named)
    const isHere = this.#kept.readInto(from, this.#out, this.#outBytes)
    this.#fill(isHere)
    const position = this.#pages
    this.#identify(position)
    if (isHere && this.#kept.idEquals(from, this.#ids, position * pageIdBytes))
      this.#kept.putCopy(this.#address(block, page), from)
    this.#next()
  }

  fresh(block: number, page: number, named: boolean, at: number): void {
    this.#page(block, page, named)
    this.#carried.copy(this.#out, this.#outBytes, at, at + pageBytes)
    this.#identify(this.#pages)
    this.#keep(this.#pages)
    this.#next()
  }

  delta(block: number, page: number, named: boolean, at: number): void {
    this.#page(block, page, named)
    const out = this.#out
    const outAt = this.#outBytes
    this.#fill(this.#kept.readInto(this.#address(block, page), out, outAt))
    for (let byte = 0; byte < pageBytes; byte += 1)
      out[outAt + byte] = (out[outAt + byte] ?? 0) ^ (this.#carried[at + byte] ?? 0)
    this.#identify(this.#pages)
    this.#keep(this.#pages)
    this.#next()
  }

  #fromFile(block: number, page: number, named: boolean, filePage: number): void {
    this.#page(block, page, named)
    this.#fill(this.#files.readInto(filePage, this.#out, this.#outBytes))
    this.#identify(this.#pages)
    this.#keep(this.#pages)
    this.#next()
  }

  #address(block: number, page: number): number {
    return (this.#blocks[block]?.base ?? 0) + page
  }

  /** What was not here must not be what was in this memory before. */
  #fill(isHere: boolean): void {
    if (!isHere) this.#out.fill(0, this.#outBytes, this.#outBytes + pageBytes)
  }

  /** A page's record, up to its contents. */
  #page(block: number, page: number, named: boolean): void {
    this.#header(block, page, named, ramFlag.page)
    this.#streamAts[this.#pages] = this.#outBytes
    this.#skeletonAts[this.#pages] = this.#skeletonBytes
    this.#addresses[this.#pages] = this.#address(block, page)
  }

  #header(block: number, page: number, named: boolean, kind: number): void {
    const out = this.#out
    const from = this.#outBytes
    const end = putRecordHead(out, from, page, kind, named ? (this.#blocks[block]?.name ?? '') : null)
    this.#skeletonBytes += out.copy(this.#skeleton, this.#skeletonBytes, from, end)
    this.#outBytes = end
  }

  #identify(position: number): void {
    const ids = this.#ids
    const idAt = position * pageIdBytes
    this.#hasher.idOf(this.#out, this.#streamAts[position] ?? 0, ids, idAt)
    ids.copy(this.#skeleton, this.#skeletonAts[position] ?? 0, idAt, idAt + pageIdBytes)
  }

  #keep(position: number): void {
    const at = this.#streamAts[position] ?? 0
    this.#kept.putPage(this.#addresses[position] ?? 0, this.#ids, position * pageIdBytes, this.#out, at)
  }

  #next(): void {
    this.#pages += 1
    this.#outBytes += pageBytes
    this.#skeletonBytes += pageIdBytes
  }
}
