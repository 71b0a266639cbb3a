/**
 * All pages that are kept of a guest, by their places: where new ones are appended and any is read from.
 * Promises that at most so many opened frames are in memory, and pages that are exactly what was put there,
 * or none. Relies on places that it gave out itself, or that a sealed table did.
 */

import type { Random } from '../../platform/random.ts'
import { pageBytes } from '../page-id.ts'
import { type KeptDisk, trying } from './kept-disk.ts'
import { release } from './kept-seal.ts'
import { framePages, mostSegments, pageBits, Segment, type SegmentInfo } from './segment.ts'

const pageMask = 2 ** pageBits - 1
const frameShift = Math.log2(framePages)
const slotMask = framePages - 1
const noFrame = -1

export interface SegmentsOptions {
  disk: KeptDisk
  random: Random
  folder: string
  guestKey: Buffer
  /** Opened frames in memory. */
  mostFrames: number
  /** A multiple of the pages of a frame. */
  mostSegmentPages: number
}

export class Segments {
  readonly #options: SegmentsOptions
  readonly #byNumber = new Map<number, Segment>()
  readonly #new: Segment[] = []
  #writer: Segment | null = null
  /** By segment number and frame number; used longest ago first. Null for a frame that is damaged. */
  readonly #frames = new Map<number, Buffer>()
  readonly #damaged = new Set<number>()
  #lastKey = noFrame
  #lastFrame: Buffer | null = null

  /** @param known of which the table told */
  constructor(options: SegmentsOptions, known: readonly SegmentInfo[]) {
    this.#options = options
    for (const info of known) {
      const segment = Segment.open(options.disk, options.folder, options.guestKey, info)
      this.#byNumber.set(info.number, segment)
    }
  }

  /** What the table has to say of them. */
  get infos(): SegmentInfo[] {
    return [...this.#byNumber.values()].map((segment) => segment.info)
  }

  /** How many frames are in memory. */
  get openedFrames(): number {
    return this.#frames.size
  }

  /** Copies a page to `out`. @returns false when it is damaged */
  readInto(place: number, out: Buffer, at: number): boolean {
    const key = place >>> frameShift
    if (key !== this.#lastKey) this.#turnTo(key)
    if (this.#lastFrame === null) return false
    const from = (place & slotMask) * pageBytes
    return this.#lastFrame.copy(out, at, from, from + pageBytes) === pageBytes
  }

  /** Whether a page was found to be damaged. */
  isDamaged(place: number): boolean {
    return this.#damaged.has(place >>> frameShift)
  }

  /** @returns the place of the page @throws what the disk throws; then nothing may follow */
  append(pages: Buffer, at: number): number {
    if (this.#writer !== null && this.#writer.pages >= this.#options.mostSegmentPages) this.endSegment()
    this.#writer ??= this.#create()
    const writer = this.#writer
    const page = writer.append(pages, at)
    // The buffer of the frame that is being filled is used again for the next one.
    if ((page & slotMask) === 0) this.#lastKey = noFrame
    return ((writer.number << pageBits) | page) >>> 0
  }

  /**
   * Writes what is not written yet, durably. What comes later goes to another segment. @throws what the disk
   * throws
   */
  endSegment(): void {
    const writer = this.#writer
    if (writer === null) return
    writer.finish()
    this.#writer = null
    this.#lastKey = noFrame
  }

  /** Which segments were begun in this visit so far. */
  get newCount(): number {
    return this.#new.length
  }

  /** Takes back those begun after there were `count`. */
  removeNew(count: number): void {
    this.#letGo()
    for (const segment of this.#new.splice(count)) {
      segment.close()
      this.#byNumber.delete(segment.number)
      if (segment === this.#writer) this.#writer = null
      trying(() => this.#options.disk.remove(segment.path))
    }
  }

  close(): void {
    for (const segment of this.#byNumber.values()) segment.close()
    this.#letGo()
  }

  #letGo(): void {
    for (const frame of this.#frames.values()) release(frame)
    this.#frames.clear()
    this.#damaged.clear()
    this.#lastKey = noFrame
    this.#lastFrame = null
  }

  #create(): Segment {
    const { disk, folder, guestKey, random } = this.#options
    let number = 0
    while (this.#byNumber.has(number)) number += 1
    if (number >= mostSegments) throw new RangeError('too many segments')
    const segment = Segment.create(disk, folder, guestKey, number, random.hex(16))
    this.#byNumber.set(number, segment)
    this.#new.push(segment)
    return segment
  }

  #turnTo(key: number): void {
    this.#lastKey = key
    const segment = this.#byNumber.get(key >>> (pageBits - frameShift))
    const frame = key & (pageMask >>> frameShift)
    const cached = this.#frames.get(key)
    this.#lastFrame = segment?.pendingFrame(frame) ?? cached ?? null
    if (cached !== undefined) {
      this.#frames.delete(key)
      this.#frames.set(key, cached)
    }
    if (this.#lastFrame !== null || segment === undefined || this.#damaged.has(key)) return
    this.#makeRoom()
    this.#lastFrame = segment.readFrame(frame)
    if (this.#lastFrame === null) this.#damaged.add(key)
    else this.#frames.set(key, this.#lastFrame)
  }

  #makeRoom(): void {
    if (this.#frames.size < this.#options.mostFrames) return
    for (const [key, frame] of this.#frames) {
      this.#frames.delete(key)
      release(frame)
      return
    }
  }
}
