/**
 * The system clock of a guest that stood still, or stood in a checkpoint: nothing in it notices that time has passed, but
 * the agent that may run in it can be told (`guest-set-time`). Its hardware clock is right by itself.
 */
import { isCode } from '../../../shared/errors/index.ts'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { hasAgent, setGuestTime } from '../../qemu/agent/agent.ts'
import type { QemuProcess } from '../../qemu/process.ts'

/** QEMU learns only some time after a guest was loaded that its port is open in there. */
const looks = 20
const lookEveryMs = 250

/** Sets it where there is an agent. Never fails: a guest runs with a wrong clock, too. */
export async function setGuestClock(
  { id, agent }: GuestDefinition,
  { qmp, sockets }: Pick<QemuProcess, 'qmp' | 'sockets'>,
  { clock, log }: { clock: Clock; log: Log },
): Promise<void> {
  let silence: unknown = null
  try {
    for (let look = 0; agent && look < looks; look += 1) {
      if (look > 0) await clock.sleep(lookEveryMs)
      if (!(await hasAgent(qmp))) continue
      try {
        return await setGuestTime(sockets.agent, () => clock.nowMs())
      } catch (error) {
        // The memory that it needs may still be on its way.
        if (!isCode(error, 'guest.agent_silent')) throw error
        silence = error
      }
    }
    if (silence !== null) throw silence
  } catch (error) {
    log.warn('the clock of a guest was not set', { guestId: id, error })
  }
}
