/**
 * Where changed chunks of the table go that memory has no room for: a file without a name, sealed under a key
 * that is only in memory. Promises that nothing of it can be read once the visit is over, and that a chunk is
 * the one that was saved last, or none. Memory: 12 bytes for each chunk that there could be.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import type { Random } from '../../platform/random.ts'
import { chunkBytes } from './chunk.ts'
import { type KeptDisk, readWhole, trying, writeWhole } from './kept-disk.ts'
import { keyBytes, open, release, seal, tagBytes } from './kept-seal.ts'

const sealedBytes = chunkBytes + tagBytes

export class Scratch {
  readonly #disk: KeptDisk
  readonly #path: string
  readonly #key: KeyObject
  readonly #sealed = Buffer.allocUnsafeSlow(sealedBytes)
  /** Which place in the file a chunk has, counted from 1, once it had one. */
  readonly #slots: Uint32Array
  /** With which number it was sealed last; 0 when it is not there. */
  readonly #numbers: Float64Array
  #file: number | null = null
  #usedSlots = 0
  #lastNumber = 0

  /** @param chunks how many there are at most */
  constructor(disk: KeptDisk, random: Random, folder: string, chunks: number) {
    this.#disk = disk
    this.#path = join(folder, 'scratch.tmp')
    this.#key = createSecretKey(random.bytes(keyBytes))
    this.#slots = new Uint32Array(chunks)
    this.#numbers = new Float64Array(chunks)
  }

  has(chunk: number): boolean {
    return (this.#numbers[chunk] ?? 0) > 0
  }

  /** @throws what the disk throws; then what was saved of the chunk before is lost */
  save(chunk: number, bytes: Buffer): void {
    this.#numbers[chunk] = 0
    this.#file ??= this.#create()
    const file = this.#file
    let slot = this.#slots[chunk] ?? 0
    if (slot === 0) {
      this.#usedSlots += 1
      slot = this.#usedSlots
      this.#slots[chunk] = slot
    }
    this.#lastNumber += 1
    const [sealed, tag] = seal(this.#key, this.#lastNumber, bytes)
    const position = (slot - 1) * sealedBytes
    writeWhole(this.#disk, file, sealed, position)
    writeWhole(this.#disk, file, tag, position + sealed.length)
    release(sealed)
    this.#numbers[chunk] = this.#lastNumber
  }

  /** @returns false when it is damaged */
  load(chunk: number, out: Buffer): boolean {
    const slot = this.#slots[chunk] ?? 0
    if (this.#file === null || slot === 0) return false
    if (!readWhole(this.#disk, this.#file, this.#sealed, sealedBytes, (slot - 1) * sealedBytes)) return false
    const bytes = open(this.#key, this.#numbers[chunk] ?? 0, this.#sealed)
    if (bytes === null) return false
    bytes.copy(out)
    release(bytes)
    return true
  }

  forget(chunk: number): void {
    this.#numbers[chunk] = 0
  }

  close(): void {
    const file = this.#file
    this.#file = null
    if (file !== null) trying(() => this.#disk.close(file))
  }

  #create(): number {
    const file = this.#disk.open(this.#path, 'write')
    // It lives as long as it is open.
    trying(() => this.#disk.remove(this.#path))
    return file
  }
}
