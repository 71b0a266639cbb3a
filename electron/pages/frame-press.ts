/**
 * Compressing and sealing frames, several at a time: the work for each of them that needs nothing but its pages and its
 * key. Promises that frames come out as `packFrame` and `sealFrame` make them, one behind the other. Where it is done
 * is for whoever makes a press to say: here (`pressHere`), or in a thread (`press-thread.ts`).
 */
import { framePages, packFrame, sealBytes, sealFrameParts } from './frame.ts'
import { pageBytes } from './page-id.ts'

/** The most frames of a batch. */
export const batchFrames = 16

const frameKeyBytes = 32

/** Frames of 16 pages, the last one perhaps shorter, that are going to be neighbours in one pack. */
export interface FrameBatch {
  /** From the start: whole pages. Memory that threads share is neither copied nor left to a garbage collector. */
  pages: Uint8Array<SharedArrayBuffer>
  pageCount: number
  /** 16 bytes. */
  packId: Uint8Array
  /** Which frame of the pack the first one is. */
  firstOrdinal: number
  /** 32 bytes for each frame. */
  keys: Uint8Array
  /** Where the frames go to, from the start: room for `mostSealedBytes`. */
  sealed: Uint8Array<SharedArrayBuffer>
}

export interface FramePress {
  /**
   * Several may be under way; the memory of a batch is the press's until then.
   * @returns the length of each frame, sealed @throws what ended the press
   */
  press(batch: FrameBatch): Promise<Uint32Array>
  /** What is under way fails. */
  close(): Promise<void>
}

/** The most that frames of so many pages come to. */
export function mostSealedBytes(pageCount: number): number {
  return pageCount * pageBytes + framesOf(pageCount) * sealBytes
}

export function framesOf(pageCount: number): number {
  return Math.ceil(pageCount / framePages)
}

/** Presses a batch at once. @returns the length of each frame, sealed */
export function pressBatch(batch: FrameBatch): Uint32Array {
  const { pages, pageCount, firstOrdinal, keys, sealed } = batch
  const packId = Buffer.from(batch.packId)
  const sealedBytes = new Uint32Array(framesOf(pageCount))
  let at = 0
  for (let frame = 0; frame < sealedBytes.length; frame += 1) {
    const first = frame * framePages * pageBytes
    const end = Math.min(first + framePages * pageBytes, pageCount * pageBytes)
    const content = packFrame(Buffer.from(pages.buffer, pages.byteOffset + first, end - first))
    const key = Buffer.from(keys.buffer, keys.byteOffset + frame * frameKeyBytes, frameKeyBytes)
    const name = { packId, ordinal: firstOrdinal + frame }
    for (const part of sealFrameParts(key, name, content)) {
      sealed.set(part, at)
      at += part.length
    }
    sealedBytes[frame] = content.length + sealBytes
  }
  return sealedBytes
}

/** A press in the thread that uses it. */
export const pressHere: FramePress = {
  press: async (batch) => pressBatch(batch),
  close: async () => {},
}
