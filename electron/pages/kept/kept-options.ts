/**
 * What bounds the memory and the files of kept pages, and what is injected: in one place, for tests to make
 * it small.
 */
import { type Random, systemRandom } from '../../platform/random.ts'
import { type KeptDisk, systemDisk } from './kept-disk.ts'

export interface KeptOptions {
  disk: KeptDisk
  random: Random
  /** Chunks of 1024 pages of the table in memory, 20 KiB each. */
  mostChunks: number
  /** Opened frames in memory, 256 KiB each. */
  mostFrames: number
  /** Of the table by which `find` works, 8 bytes each; a power of two, 16 at least. */
  finderEntries: number
  /** When a visit ends with more, some are written anew. */
  mostSegments: number
  /** Of one segment; a multiple of 64. */
  mostSegmentPages: number
}

export const keptDefaults: KeptOptions = {
  disk: systemDisk,
  random: systemRandom,
  mostChunks: 512,
  mostFrames: 32,
  finderEntries: 2 ** 20,
  mostSegments: 24,
  mostSegmentPages: 2 ** 24,
}
