/** How the peer's memory crosses: QEMU's own ways, chosen over its monitor. */

import { waitForMigrationStatus } from '../../electron/qemu/migration.ts'
import {
  cont,
  migrateCancel,
  migrateSetCapabilities,
  migrateSetParameters,
  queryStatus,
} from '../../electron/qemu/qmp/commands.ts'
import type { QmpSession } from '../../electron/qemu/qmp/session.ts'
import { isCode } from '../../shared/errors/index.ts'

/** One connection and nothing else, or two that compress. */
export type PlainWay = 'plain' | 'multifd+zstd'

const always = ['events', 'return-path', 'pause-before-switchover', 'late-block-activate'] as const
const timeoutMs = 180_000

/** The same on both sides, before anything else is said about a migration. What an earlier one left is undone. */
export async function choose(qmp: QmpSession, way: PlainWay): Promise<void> {
  const isSplit = way === 'multifd+zstd'
  await migrateSetCapabilities(qmp, [
    ...always.map((capability) => ({ capability, state: true })),
    { capability: 'multifd', state: isSplit },
  ])
  // Without a word QEMU sends at most 128 MiB/s, which is no property of the link.
  const split = isSplit ? { 'multifd-channels': 2, 'multifd-compression': 'zstd' } : {}
  await migrateSetParameters(qmp, { 'max-bandwidth': 0, ...split })
}

/** Waits until the guest stands still for the switchover. @returns false when it was given up before */
export async function untilStopped(qmp: QmpSession, giveUp: AbortSignal): Promise<boolean> {
  try {
    await waitForMigrationStatus(qmp, ['pre-switchover'], { timeoutMs, signal: giveUp })
    return true
  } catch (error) {
    if (giveUp.aborted && isCode(error, 'host.cancelled')) return false
    throw error
  }
}

/** The guest runs on where it is: without an order to go on nobody else has it. */
export async function cancelHere(qmp: QmpSession): Promise<void> {
  await migrateCancel(qmp)
  // QEMU 7.2 says `failed` when it was about to stop the guest just then.
  await waitForMigrationStatus(qmp, ['cancelled', 'failed'], { timeoutMs })
  const { running } = await queryStatus(qmp)
  if (!running) await cont(qmp)
}
