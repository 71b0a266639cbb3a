/**
 * The numbers of DELTA.md: message and record types, limits. Both ends check what they get against these, and nothing
 * else bounds what a far end can cost.
 */
import { pageBytes, pageIdBytes } from '../pages/page-id.ts'

export { pageBytes, pageIdBytes }

export const deltaVersion = 1
export const visitBytes = 16
export const idKeyBytes = 32
export const checkBytes = 32

/** From the sender. */
export const forward = { hello: 0, plain: 1, batch: 2, repair: 3, aside: 4, end: 5 } as const
/** From the receiver. */
export const backward = { answer: 0, plain: 1, done: 2, lacks: 3, known: 4 } as const

/** What the receiver has of the guest, in its answer. */
export const base = {
  nothing: 0,
  /** The same visit as the sender. */
  shared: 1,
  /** Another one; its ids were told before. */
  told: 2,
} as const
export type Base = (typeof base)[keyof typeof base]

/** What records of a batch say; a page's record follows from where the one before left off. */
export const record = { bytes: 0, name: 1, seek: 2, zero: 3, same: 4, held: 5, fresh: 6, delta: 7 } as const

/** How a body is stored. */
export const coding = { raw: 0, zstd: 1 } as const

/** Type and length of what follows. */
export const messageHeaderBytes = 5

export const limits = {
  messageBytes: 4 * 1024 * 1024,
  /** Of a batch; zero pages are counted apart. */
  pages: 512,
  zeroPages: 8192,
  namedPages: 512,
  /** Of these, pages whose contents are in the batch. */
  carriedPages: 256,
  /** Of records, with the bytes of the stream that they carry. */
  recordBytes: 256 * 1024,
  plainBytes: 256 * 1024,
  blocks: 256,
  blockPages: 2 ** 28,
  /** Of all blocks together: 2 TiB. */
  guestPages: 2 ** 29,
  /** Files that both docks may have; pages of each. */
  files: 1024,
  filePages: 2 ** 31,
  /** What the sender holds until it is told that it was right. */
  openPages: 3072,
  openBatches: 64,
  /** Ids in one message. */
  toldIds: 1024,
} as const

/** What a batch can come to in the stream of QEMU: a record has a word and perhaps a name, a zero page a byte. */
export const mostBatchStreamBytes =
  limits.recordBytes + limits.pages * (8 + pageBytes) + limits.zeroPages * 9 + limits.namedPages * 256

export const mostBodyBytes = limits.recordBytes + limits.carriedPages * pageBytes
