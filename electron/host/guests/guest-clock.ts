/**
 * The system clock of a guest that stood still, or stood in a checkpoint: nothing in it notices that time has passed, but
 * the agent that may run in it can be told (`guest-set-time`). Its hardware clock is right by itself.
 */
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { hasAgent, setGuestTime } from '../../qemu/agent/agent.ts'
import type { QemuProcess } from '../../qemu/process.ts'

/** Sets it where there is an agent. Never fails: a guest runs with a wrong clock, too. */
export async function setGuestClock(
  { id, agent }: GuestDefinition,
  { qmp, sockets }: Pick<QemuProcess, 'qmp' | 'sockets'>,
  { clock, log }: { clock: Clock; log: Log },
): Promise<void> {
  try {
    if (!agent || !(await hasAgent(qmp))) return
    await setGuestTime(sockets.agent, clock.nowMs())
  } catch (error) {
    log.warn('the clock of a guest was not set', { guestId: id, error })
  }
}
