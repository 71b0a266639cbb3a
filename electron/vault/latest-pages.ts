/**
 * Memory of which pages come several times and the last one counts, kept by address in a file without a name until all
 * of it is there. Promises that nothing of it outlives this process, whatever ends it, and one page of memory for a
 * page of none. Relies on room on the disk for what the guest has in memory.
 *
 * Writes are made at once, not in the thread pool: they go to the page cache, in runs, and QEMU must not wait for a
 * turn behind what is being compressed.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../shared/errors/index.ts'
import { fsFailure, systemErrorCode } from '../platform/atomic-file.ts'
import { pageBytes, type RamBlock } from '../qemu/stream/grammar.ts'

const batchBytes = 1024 * 1024

const kinds = { absent: 0, zero: 1, bytes: 2 } as const

export type LatestRun =
  | { kind: 'zero'; block: number; page: number; count: number }
  /** The memory is used again for the next run. */
  | { kind: 'bytes'; block: number; page: number; bytes: Buffer }

export class LatestPages {
  readonly #folder: string
  readonly #file: number
  readonly #kinds: readonly Uint8Array[]
  /** Where each block begins in the file, in pages. */
  readonly #starts: readonly number[]
  readonly #batch = Buffer.allocUnsafeSlow(batchBytes)
  /** Where in the file the batch begins, bytes. */
  #batchAt = 0
  #batchLength = 0
  #isOpen = true

  /** @throws host.no_permission, vault.spool_full */
  constructor(folder: string, blocks: readonly RamBlock[]) {
    this.#folder = folder
    const path = join(folder, `.${randomBytes(8).toString('hex')}.memory`)
    try {
      this.#file = openSync(path, 'wx+', 0o600)
      unlinkSync(path)
    } catch (error) {
      throw fsFailure(error, path)
    }
    this.#kinds = blocks.map(({ pages }) => new Uint8Array(pages))
    let start = 0
    this.#starts = blocks.map(({ pages }) => {
      start += pages
      return start - pages
    })
  }

  /** @param bytes a page; copied @throws vault.spool_full */
  set(block: number, page: number, bytes: Buffer): void {
    this.#kinds[block]?.fill(kinds.bytes, page, page + 1)
    const at = ((this.#starts[block] ?? 0) + page) * pageBytes
    if (at !== this.#batchAt + this.#batchLength || this.#batchLength === batchBytes) {
      this.#flush()
      this.#batchAt = at
    }
    this.#batchLength += bytes.copy(this.#batch, this.#batchLength)
  }

  setZero(block: number, page: number): void {
    this.#kinds[block]?.fill(kinds.zero, page, page + 1)
  }

  /** All pages that came, by address. @throws host.unexpected when the file cannot be read */
  *runs(): Generator<LatestRun> {
    this.#flush()
    for (const [block, of] of this.#kinds.entries()) {
      for (let page = 0; page < of.length; ) {
        const kind = of[page]
        const longest = kind === kinds.bytes ? batchBytes / pageBytes : of.length
        let end = page + 1
        while (end < of.length && of[end] === kind && end - page < longest) end += 1
        const count = end - page
        if (kind === kinds.zero) yield { kind: 'zero', block, page, count }
        else if (kind === kinds.bytes)
          yield { kind: 'bytes', block, page, bytes: this.#read(block, page, count) }
        page = end
      }
    }
  }

  /** Nothing is left of it afterwards. */
  close(): void {
    if (this.#isOpen) closeSync(this.#file)
    this.#isOpen = false
  }

  #read(block: number, page: number, count: number): Buffer {
    const bytes = this.#batch.subarray(0, count * pageBytes)
    const at = ((this.#starts[block] ?? 0) + page) * pageBytes
    for (let done = 0; done < bytes.length; ) {
      const got = readSync(this.#file, bytes, done, bytes.length - done, at + done)
      if (got === 0) throw fail('host.unexpected', {}, { detail: 'the gathered memory is too short' })
      done += got
    }
    return bytes
  }

  #flush(): void {
    try {
      for (let done = 0; done < this.#batchLength; ) {
        done += writeSync(this.#file, this.#batch, done, this.#batchLength - done, this.#batchAt + done)
      }
    } catch (error) {
      const code = systemErrorCode(error)
      if (code !== 'ENOSPC' && code !== 'EDQUOT') throw fsFailure(error, this.#folder)
      const values = { needed: 'as much as the guest has in memory', free: 'less', path: this.#folder }
      throw fail('vault.spool_full', values, { cause: error })
    }
    this.#batchLength = 0
  }
}
