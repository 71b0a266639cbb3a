/**
 * What is asked of the agent in a guest (qemu-ga), where one runs. Promises that its file systems are never left frozen by
 * us, and that a guest without an agent costs one question to QEMU.
 */
import { queryChardevs } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'
import { type AgentCommand, AgentSession } from './agent-session.ts'

/** The name of its port on QEMU's command line. */
export const agentChardev = 'agent'

const flushTimeoutMs = 5_000
const timeTimeoutMs = 10_000

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
  await ask(
    socketPath,
    () => [{ name: 'guest-fsfreeze-freeze' }, { name: 'guest-fsfreeze-thaw' }],
    flushTimeoutMs,
  )
}

/**
 * The agent may have to wait for memory that is still to come.
 * @param nowMs since 1970, asked when somebody listens @throws guest.agent_silent, guest.agent_refused
 */
export async function setGuestTime(socketPath: string, nowMs: () => number): Promise<void> {
  // Nanoseconds.
  const command = () => ({ name: 'guest-set-time', args: `{"time":${Math.round(nowMs())}000000}` })
  await ask(socketPath, () => [command()], timeTimeoutMs)
}

async function ask(
  socketPath: string,
  commands: () => readonly AgentCommand[],
  timeoutMs: number,
): Promise<void> {
  const endMs = performance.now() + timeoutMs
  const session = await AgentSession.open(socketPath, timeoutMs)
  try {
    await session.call(commands(), endMs - performance.now())
  } finally {
    session.close()
  }
}
