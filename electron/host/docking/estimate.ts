/** The estimate shown before a move: time, bytes and freeze as ranges. Pure. */
import type { MigrationEstimate } from '../../../shared/models/migration.ts'

export interface EstimateInput {
  /** Memory the guest has touched, as its QEMU process holds it. */
  touchedMemoryBytes: number
  memoryBytes: number
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
  const bytes = {
    min: Math.round(disk + Math.min(input.touchedMemoryBytes, input.memoryBytes) * 0.5),
    max: Math.round(disk + Math.min(input.touchedMemoryBytes * 1.1, input.memoryBytes)),
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
