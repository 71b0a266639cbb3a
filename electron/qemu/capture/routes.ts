/**
 * The two ways of taking a running guest's memory, and which one a PC should take. Promises that a background snapshot is
 * only called usable when QEMU itself agreed to it and would survive its failure.
 */
import { readFile } from 'node:fs/promises'
import { isCode } from '../../../shared/errors/index.ts'
import { migrateSetCapabilities } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'

export type CaptureRoute = 'pre-copy' | 'background-snapshot'

export type SnapshotSupport =
  | { kind: 'usable' }
  /** `sentence` says what would change that. */
  | { kind: 'unusable'; sentence: string }

const capability = 'background-snapshot'
const settingPath = '/proc/sys/vm/unprivileged_userfaultfd'

/**
 * Pre-copy, but for an emulated guest where a background snapshot is usable. Emulation pays 6 to 12 µs for every page
 * that changed since the last look, all at once and while the guest waits: 0.8 s per 512 MiB the first time. Under KVM
 * looking costs next to nothing, while a background snapshot's standstill grows with the memory.
 */
export function preferredRoute(accelerator: 'kvm' | 'tcg', support: SnapshotSupport): CaptureRoute {
  return accelerator === 'tcg' && support.kind === 'usable' ? 'background-snapshot' : 'pre-copy'
}

/**
 * Whether a background snapshot that fails leaves the guest alive: from QEMU 8.1 on the protection of its memory is
 * lifted then too (commit 3a8b81f2e6, "migration: stop tracking ram writes when cancelling background migration").
 */
export function survivesCancelledSnapshot(qmp: Pick<QmpSession, 'version'>): boolean {
  const { major, minor } = qmp.version.qemu
  return major > 8 || (major === 8 && minor >= 1)
}

/**
 * Asks a running QEMU, which tries it out. No migration may be under way. @param readSetting reads a file of /proc
 * @throws qemu.silent, qemu.gone
 */
export async function snapshotSupport(
  qmp: QmpSession,
  readSetting: (path: string) => Promise<string> = (path) => readFile(path, 'utf8'),
): Promise<SnapshotSupport> {
  if (!survivesCancelledSnapshot(qmp)) {
    return { kind: 'unusable', sentence: 'QEMU 8.1 or newer would allow it.' }
  }
  try {
    await migrateSetCapabilities(qmp, [{ capability, state: true }])
  } catch (error) {
    if (!isCode(error, 'qemu.command_failed')) throw error
    return { kind: 'unusable', sentence: await whyNot(readSetting) }
  }
  await migrateSetCapabilities(qmp, [{ capability, state: false }])
  return { kind: 'usable' }
}

/** QEMU says only that the kernel does not support it. */
async function whyNot(readSetting: (path: string) => Promise<string>): Promise<string> {
  // Absent where the kernel has no userfaultfd at all (Linux, admin-guide/mm/userfaultfd).
  const setting = await readSetting(settingPath).catch(() => null)
  if (setting === null) return 'A Linux kernel with userfaultfd would allow it.'
  return setting.trim() === '0'
    ? 'The administrator can allow it with: sudo sysctl vm.unprivileged_userfaultfd=1'
    : 'The kernel or the memory of this guest does not allow it.'
}
