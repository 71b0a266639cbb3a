/**
 * Whether the QEMU of this PC can let a guest run before all of its memory is there (post-copy), and what would allow it
 * where it cannot. Promises to ask QEMU itself: it checks for userfaultfd when the capability is switched on in one that
 * waits for a guest. Relies on its greeting for the version.
 */
import { readFile } from 'node:fs/promises'
import { isCode } from '../../shared/errors/index.ts'
import { type QemuInfo, startForQuestions } from './capabilities.ts'
import { setCapabilities } from './migration.ts'
import { quit } from './qmp/commands.ts'
import { QmpSession } from './qmp/session.ts'

const settingPath = '/proc/sys/vm/unprivileged_userfaultfd'
const timeoutMs = 10_000

/** Asked at each start of a host: the administrator may have changed it. @returns null where it can */
export async function probePostCopy({ binary }: Pick<QemuInfo, 'binary'>): Promise<string | null> {
  const run = startForQuestions(binary, ['-accel', 'tcg', '-incoming', 'defer'])
  try {
    const qmp = await QmpSession.over(run.streams, { timeoutMs })
    const problem = await setCapabilities(qmp, ['postcopy-ram']).then(
      () => null,
      async (error: unknown) => {
        if (!isCode(error, 'qemu.command_failed')) throw error
        return await whatWouldAllowIt(qmp)
      },
    )
    await quit(qmp).catch(() => {})
    return problem
  } catch (error) {
    throw run.explain(error)
  } finally {
    await run.end()
  }
}

/** For people, of a QEMU that refused; QEMU says only that it is not supported. */
export async function whatWouldAllowIt(
  { version }: Pick<QmpSession, 'version'>,
  readSetting: (path: string) => Promise<string> = (path) => readFile(path, 'utf8'),
): Promise<string> {
  const setting = await readSetting(settingPath).catch(() => null)
  if (setting === null)
    return 'A Linux kernel that brings memory in late (userfaultfd) would let it run at once.'
  if (setting.trim() !== '0') return 'QEMU on this PC cannot let it run at once.'
  // QEMU opens the device since 8.1 (util/userfaultfd.c).
  const { major, minor } = version.qemu
  const hasDevice = major > 8 || (major === 8 && minor >= 1)
  const device = hasDevice ? ', or with a udev rule that lets users open /dev/userfaultfd' : ''
  return `The administrator can let it run at once with: sudo sysctl vm.unprivileged_userfaultfd=1${device}`
}
