/**
 * Migration capabilities and parameters are QEMU's for good: what a capture sets would hold for the next move too.
 * Promises that they are as they were found once a capture is over. Relies on nobody else migrating meanwhile.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { isCode } from '../../../shared/errors/index.ts'
import {
  migrateSetCapabilities,
  migrateSetParameters,
  queryMigrateCapabilities,
  queryMigrateParameters,
} from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'

/** As long as QEMU tidies up after a migration it refuses to change capabilities. */
const tidyingMs = 5000
const retryMs = 20

/** QEMU's own limits (migration/options.c), which a move sets anew for itself. */
export const defaultParameters = { 'max-bandwidth': 128 * 1024 * 1024, 'downtime-limit': 300 } as const

/** Without these events nobody would be told how a migration goes; they are left on for that reason. */
const eventsCapability = 'events'

/**
 * Switches on exactly `capabilities` (and the events), takes every limit off the bandwidth, and sets the downtime limit.
 * @returns what puts everything back
 */
export async function borrowSettings(
  qmp: QmpSession,
  wanted: { capabilities: readonly string[]; downtimeLimitMs: number },
): Promise<() => Promise<void>> {
  const before = await queryMigrateParameters(qmp)
  const found = await enabledCapabilities(qmp)
  const { capabilities, downtimeLimitMs } = wanted
  const giveBack = async (): Promise<void> => {
    await migrateSetParameters(qmp, before)
    await changeCapabilities(qmp, { off: without(capabilities, found), on: found })
  }
  await changeCapabilities(qmp, {
    off: without(found, capabilities),
    on: [...capabilities, eventsCapability],
  })
  try {
    await migrateSetParameters(qmp, { 'max-bandwidth': 0, 'downtime-limit': downtimeLimitMs })
  } catch (error) {
    await giveBack().catch(() => {})
    throw error
  }
  return giveBack
}

/** Puts everything where QEMU had it at its start: for a capture of which only QEMU knows. */
export async function resetSettings(qmp: QmpSession): Promise<void> {
  await changeCapabilities(qmp, { off: await enabledCapabilities(qmp), on: [] })
  await migrateSetParameters(qmp, defaultParameters)
}

async function enabledCapabilities(qmp: QmpSession): Promise<string[]> {
  const states = await queryMigrateCapabilities(qmp)
  return states.flatMap(({ capability, state }) =>
    state && capability !== eventsCapability ? [capability] : [],
  )
}

async function changeCapabilities(
  qmp: QmpSession,
  { off, on }: { off: readonly string[]; on: readonly string[] },
): Promise<void> {
  // Off before on: some exclude each other, and QEMU checks each against those that are set.
  const states = [
    ...off.map((capability) => ({ capability, state: false })),
    ...on.map((capability) => ({ capability, state: true })),
  ]
  if (states.length === 0) return
  const endMs = performance.now() + tidyingMs
  for (;;) {
    try {
      await migrateSetCapabilities(qmp, states)
      return
    } catch (error) {
      if (!isTidying(error) || performance.now() > endMs) throw error
      await wait(retryMs)
    }
  }
}

/** QEMU's words for it, the same in 7.2 and 10.0 (QERR_MIGRATION_ACTIVE). */
function isTidying(error: unknown): boolean {
  return isCode(error, 'qemu.command_failed') && /migration process in progress/.test(error.detail ?? '')
}

function without(names: readonly string[], others: readonly string[]): string[] {
  return names.filter((name) => !others.includes(name))
}
