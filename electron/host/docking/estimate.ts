/** The estimate shown before a move: time, bytes and freeze as ranges. Pure. */
import type { MigrationEstimate } from '../../../shared/models/migration.ts'

export type MemoryCrossingKind = 'all' | 'lacking' | 'changed'

/** Shares of the memory that was touched, as seen of guests of all kinds. */
const shares: Readonly<Record<MemoryCrossingKind, { min: number; max: number }>> = {
  all: { min: 0.5, max: 1.1 },
  lacking: { min: 0.15, max: 0.9 },
  changed: { min: 0.002, max: 0.15 },
}

export interface EstimateInput {
  /** Memory the guest has touched, as its QEMU process holds it. */
  touchedMemoryBytes: number
  memoryBytes: number
  /** What of it is going to cross: all, what does not compress and is not there, or what has changed since a visit. */
  crossing: MemoryCrossingKind
  /** Layers and boot files the other side lacks, and the top layers. */
  missingBytes: number
  topBytes: number
  /** What the link was seen to carry; null when it was never measured. */
  linkBytesPerS: number | null
  linkRttMs: number
}

/** Starting the other side, the handshakes and the switchover. */
const fixedMs = { min: 500, max: 2000 }
/** Without a measurement: from busy Wi-Fi to gigabit Ethernet. */
const unknownLinkBytesPerS = { slow: 5e6, fast: 110e6 }
const minFreezeMs = 40

export function estimateMigration(input: EstimateInput): MigrationEstimate {
  const disk = input.missingBytes + input.topBytes
  const share = shares[input.crossing]
  const bytes = {
    min: Math.round(disk + Math.min(input.touchedMemoryBytes, input.memoryBytes) * share.min),
    max: Math.round(disk + Math.min(input.touchedMemoryBytes * share.max, input.memoryBytes)),
  }
  const fast = input.linkBytesPerS ?? unknownLinkBytesPerS.fast
  const slow = input.linkBytesPerS === null ? unknownLinkBytesPerS.slow : input.linkBytesPerS * 0.8
  return {
    bytes,
    time: {
      minMs: Math.round(fixedMs.min + (bytes.min / fast) * 1000),
      maxMs: Math.round(fixedMs.max + (bytes.max / slow) * 1000),
    },
    freeze: {
      minMs: Math.round(minFreezeMs + 2 * input.linkRttMs),
      maxMs: Math.round(250 + 6 * input.linkRttMs),
    },
  }
}
