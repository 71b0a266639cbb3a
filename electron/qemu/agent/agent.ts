/**
 * What is asked of the agent in a guest (qemu-ga), where one runs. Promises that its file systems are never left frozen by
 * us, and that a guest without an agent costs one question to QEMU.
 */
import { queryChardevs } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'
import { type AgentCommand, AgentSession } from './agent-session.ts'

/** The name of its port on QEMU's command line. */
export const agentChardev = 'agent'

const flushTimeoutMs = 10_000
const timeTimeoutMs = 30_000

/** Whether somebody in the guest has the port open. @throws qemu.silent, qemu.gone */
export async function hasAgent(qmp: QmpSession): Promise<boolean> {
  const ports = await queryChardevs(qmp)
  return ports.some(({ label, isOpen }) => label === agentChardev && isOpen)
}

/**
 * Has the guest write down what its file systems hold back, by freezing them and thawing them at once.
 * @throws guest.agent_silent, guest.agent_refused
 */
export async function flushFileSystems(socketPath: string): Promise<void> {
  await ask(socketPath, [{ name: 'guest-fsfreeze-freeze' }, { name: 'guest-fsfreeze-thaw' }], flushTimeoutMs)
}

/** @param nowMs since 1970 @throws guest.agent_silent, guest.agent_refused */
export async function setGuestTime(socketPath: string, nowMs: number): Promise<void> {
  // Nanoseconds.
  const args = `{"time":${Math.round(nowMs)}000000}`
  await ask(socketPath, [{ name: 'guest-set-time', args }], timeTimeoutMs)
}

async function ask(socketPath: string, commands: readonly AgentCommand[], timeoutMs: number): Promise<void> {
  const session = await AgentSession.open(socketPath)
  try {
    await session.call(commands, timeoutMs)
  } finally {
    session.close()
  }
}
