/**
 * The grammar of QEMU's migration stream (QEMU 7.2 to 10.x), as far as a guest's memory goes. Everything is
 * big-endian. The names in brackets are QEMU's; sources are QEMU's migration/savevm.c (sections and commands),
 * migration/ram.c (records), migration/migration.h (return path) and docs/devel/migration. Relies on nothing.
 *
 * ```
 * stream   = 'QEVM' u32 3, configuration, START of ram, [early FULL …], PART of ram …, [END of ram], FULL …, EOF, [vmdesc]
 * config   = 07 u32 length, machine name, subsections: 05 u8 length, name, u32 version, data
 * START    = 01 u32 id, u8 length, name, u32 instance, u32 version, data, footer          FULL = 04, the same
 * PART     = 02 u32 id, data, footer                                                       END = 03, the same
 * footer   = 7e u32 id             vmdesc = 06 u32 length, JSON            command = 08 u16 command, u16 length, data
 * data of ram = records: u64 (offset | flags), then what the flags say, up to and including the record EOS
 * ```
 *
 * A background snapshot has no END: the first FULL ends its memory. FULL sections carry no length, so what
 * comes after memory is one piece here, and so is what comes before it.
 */

/** What QEMU on x86-64 calls a target page; also the unit of everything here. */
export const pageBytes = 4096

/** The first eight bytes [QEMU_VM_FILE_MAGIC, QEMU_VM_FILE_VERSION]. */
export const streamMagic = 0x5145564d
export const streamVersion = 3

/** The type byte of a section [QEMU_VM_*]. */
export const sectionType = {
  eof: 0x00,
  start: 0x01,
  part: 0x02,
  end: 0x03,
  full: 0x04,
  subsection: 0x05,
  vmdesc: 0x06,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const

/** The low twelve bits of a record [RAM_SAVE_FLAG_*]. */
export const ramFlag = {
  /** One byte follows, the fill; always 0 in these versions. */
  zero: 0x002,
  /** The offset is the sum of the blocks that follow: u8 length, name, u64 bytes. */
  memSize: 0x004,
  /** A page follows. */
  page: 0x008,
  /** The end of a section. */
  eos: 0x010,
  /** The same block as the record before; otherwise u8 length and name follow the record's first word. */
  continue: 0x020,
  xbzrle: 0x040,
  /** RDMA. */
  hook: 0x080,
  /** Gone in 9.1. */
  compressPage: 0x100,
  /** The end of a round over memory; 8.0 and 8.1 wrote it without multifd too (fixed by d4f34485ca8a). */
  multifdFlush: 0x200,
} as const

/** The version of ram's section. */
export const ramVersion = 4

/** Commands of the source [qemu_vm_cmd]. */
export const command = {
  openReturnPath: 1,
  postcopyAdvise: 3,
  postcopyListen: 4,
  postcopyRun: 5,
  postcopyRamDiscard: 6,
  packaged: 7,
  /** From machine types of 10.0 on, before END: a signal to VFIO devices, of which no guest here has one. */
  switchoverStart: 11,
} as const

/** Messages of the destination: u16 type, u16 length, data [mig_rp_message_type]. */
export const returnMessage = {
  /** u32: 0 is success. */
  shut: 1,
  pong: 2,
  /** u64 offset, u32 bytes, u8 length, name. */
  reqPagesId: 3,
  /** u64 offset, u32 bytes: in the block asked for last. */
  reqPages: 4,
  /** Nothing: from 8.1 on. */
  switchoverAck: 7,
} as const

/** Limits, each far above what QEMU writes. Beyond one of them: qemu.bad_stream. */
export const streamLimits = {
  /** What comes before memory; about 2 KB, and a bit for each 2 MiB of memory that can be plugged. */
  headBytes: 4 * 1024 * 1024,
  /** What comes after memory; 0.2 MB for a small guest, and for each core about 20 KB. */
  tailBytes: 64 * 1024 * 1024,
  machineNameBytes: 256,
  blocks: 256,
  /** 1 TiB. */
  blockPages: 2 ** 28,
} as const

/** One block of a guest's memory [RAMBlock]: RAM, video RAM, a ROM, an ACPI table. */
export interface RamBlock {
  /** Unique in a stream; bytes as Latin-1. */
  name: string
  pages: number
}

/** Everything before the first PART of ram, and what can be read in it. */
export interface StreamHead {
  /** Without the flushes of multifd: a rebuilt stream has none. */
  bytes: Buffer
  /** The machine type, as `pc-q35-7.2`. */
  machine: string
  /** Length of magic, version and configuration, after which commands can be put. */
  configurationBytes: number
  ramSectionId: number
  blocks: readonly RamBlock[]
}

/** Everything after memory. */
export interface StreamTail {
  bytes: Buffer
  /** How many of them are the sections of devices; then come EOF and the description. */
  deviceBytes: number
}

/** What a page of memory is: 4096 bytes, zeros, or not there at all (memory that was not plugged in). */
export type PageContent = Buffer | 'zero' | 'absent'
