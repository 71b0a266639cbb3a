/** What both ways of taking a guest's memory are given, and the two things both do. */
import {
  cancelMigration,
  type MigrationStatus,
  queryMigration,
  waitForMigrationStatus,
} from '../migration.ts'
import type { TransactionAction } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'
import type { Before } from './note.ts'
import type { Patience } from './pre-copy.ts'

export interface CaptureProgress {
  /** Bytes of memory sent to the receiver so far; pages that changed meanwhile count again. */
  sentBytes: number
  /** What is left as far as QEMU knows; grows while the guest changes its memory. */
  remainingBytes: number
  /** Rounds over memory so far. */
  passes: number
}

export interface CaptureRun {
  qmp: QmpSession
  /** Where the receiver listens, as QEMU's `migrate` wants it. */
  uri: string
  before: Before
  /** Made at the instant, while the guest stands still. */
  atInstant: readonly TransactionAction[]
  /** Resolves when the receiver has the first page section. */
  firstPart: Promise<void>
  /** Full speed from the beginning. */
  hurry: boolean
  signal: AbortSignal
  patience?: Patience
  onProgress?: (progress: CaptureProgress) => void
}

export const progressPollMs = 250
const cancelTimeoutMs = 10_000
const endings: readonly MigrationStatus[] = ['none', 'cancelled', 'failed', 'completed']

export function hasEnded(status: MigrationStatus): boolean {
  return endings.includes(status)
}

/** Gives up a migration, whatever it is doing; one that has ended is left alone. @throws qemu.silent, qemu.gone */
export async function cancelAndWait(qmp: QmpSession): Promise<void> {
  if (hasEnded((await queryMigration(qmp)).status)) return
  await cancelMigration(qmp)
  await waitForEnd(qmp, cancelTimeoutMs)
}

/** Waits until a migration has ended, however. @throws qemu.silent after `timeoutMs`, qemu.gone */
export async function waitForEnd(qmp: QmpSession, timeoutMs: number): Promise<void> {
  await waitForMigrationStatus(qmp, ['cancelled', 'failed', 'completed'], { timeoutMs })
}

/** Asks how far QEMU is and passes it on. @returns null when QEMU does not say: who waits for the end hears of it */
export async function tellProgress({ qmp, onProgress }: CaptureRun): Promise<CaptureProgress | null> {
  const now = await queryMigration(qmp).catch(() => null)
  if (now === null) return null
  const progress = {
    sentBytes: now.ramTransferredBytes,
    remainingBytes: now.ramRemainingBytes,
    passes: now.dirtySyncCount,
  }
  onProgress?.(progress)
  return progress
}
