/**
 * One file of kept pages: written from its start to its end during one visit, then only read. Frames of 64
 * pages, each sealed with its number. Promises that a page is never a wrong one. Relies on the id being
 * random, so that a number is never used twice under one key, and on nobody appending after a call of it has
 * failed.
 */
import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { pageBytes } from '../page-id.ts'
import { type KeptDisk, readWhole, trying, writeWhole } from './kept-disk.ts'
import { fileKeyOf, open, release, seal, tagBytes } from './kept-seal.ts'

export const framePages = 64
const frameBytes = framePages * pageBytes
const sealedFrameBytes = frameBytes + tagBytes
/** The lower bits of a place; the upper eight are the segment's number. */
export const pageBits = 24
/** Of one segment; the numbers 254 and 255 are for places that mean something else. */
export const mostSegmentPages = 2 ** pageBits
export const mostSegments = 254

/** What the table says of a segment. */
export interface SegmentInfo {
  number: number
  /** 16 bytes in hexadecimal digits: the name of its file. */
  id: string
  pages: number
}

/** Used by all segments, one after the other. */
const sealedFrame = Buffer.allocUnsafeSlow(sealedFrameBytes)

export function segmentPath(folder: string, id: string): string {
  return join(folder, `${id}.seg`)
}

export class Segment {
  readonly number: number
  readonly id: string
  readonly path: string
  readonly #disk: KeptDisk
  readonly #key: KeyObject
  #pages: number
  #file: number | null
  /** The pages that are not written yet, from `#pendingFrom` on; null once it is only read. */
  #pending: Buffer | null

  private constructor(disk: KeptDisk, folder: string, guestKey: Buffer, info: SegmentInfo, isNew: boolean) {
    this.number = info.number
    this.id = info.id
    this.path = segmentPath(folder, info.id)
    this.#disk = disk
    this.#key = fileKeyOf(guestKey, Buffer.from(info.id, 'hex'), 'segment')
    this.#pages = info.pages
    this.#pending = isNew ? Buffer.allocUnsafeSlow(frameBytes) : null
    this.#file = isNew ? disk.open(this.path, 'write') : null
    if (!isNew)
      trying(() => {
        this.#file = disk.open(this.path, 'read')
      })
  }

  /** @throws what the disk throws */
  static create(disk: KeptDisk, folder: string, guestKey: Buffer, number: number, id: string): Segment {
    return new Segment(disk, folder, guestKey, { number, id, pages: 0 }, true)
  }

  /** One that cannot be read is one of which every frame is damaged. */
  static open(disk: KeptDisk, folder: string, guestKey: Buffer, info: SegmentInfo): Segment {
    return new Segment(disk, folder, guestKey, info, false)
  }

  get pages(): number {
    return this.#pages
  }

  get info(): SegmentInfo {
    return { number: this.number, id: this.id, pages: this.#pages }
  }

  /** The pages of this frame if they are still in memory; good until the next `append`. */
  pendingFrame(frame: number): Buffer | null {
    return this.#pending !== null && frame === Math.floor((this.#pages - 1) / framePages)
      ? this.#pending
      : null
  }

  /** @returns which page of the segment it is @throws what the disk throws; then nothing may follow */
  append(pages: Buffer, at: number): number {
    const page = this.#pages
    const slot = page % framePages
    // The frame before is written only now, so that a failure leaves its pages in memory.
    if (slot === 0 && page > 0) this.#writePending(framePages)
    if (this.#pending === null) throw new Error('a finished segment is not written to')
    pages.copy(this.#pending, slot * pageBytes, at, at + pageBytes)
    this.#pages += 1
    return page
  }

  /** Writes what is left, durably; from here on it is only read. @throws what the disk throws */
  finish(): void {
    if (this.#pending === null || this.#file === null) return
    this.#writePending(((this.#pages - 1) % framePages) + 1)
    this.#disk.sync(this.#file)
    this.#pending = null
  }

  /** The pages of a frame, in a buffer to be released; null when they are damaged. */
  readFrame(frame: number): Buffer | null {
    const pages = Math.min(framePages, this.#pages - frame * framePages)
    if (this.#file === null || pages <= 0) return null
    const lengthBytes = pages * pageBytes + tagBytes
    if (!readWhole(this.#disk, this.#file, sealedFrame, lengthBytes, frame * sealedFrameBytes)) return null
    return open(this.#key, frame, sealedFrame.subarray(0, lengthBytes))
  }

  close(): void {
    const file = this.#file
    this.#file = null
    this.#pending = null
    if (file !== null) trying(() => this.#disk.close(file))
  }

  #writePending(pages: number): void {
    if (this.#pending === null || this.#file === null || this.#pages === 0) return
    const frame = Math.floor((this.#pages - 1) / framePages)
    const [sealed, tag] = seal(this.#key, frame, this.#pending.subarray(0, pages * pageBytes))
    writeWhole(this.#disk, this.#file, sealed, frame * sealedFrameBytes)
    writeWhole(this.#disk, this.#file, tag, frame * sealedFrameBytes + sealed.length)
    release(sealed)
  }
}
