/** Where one QEMU process keeps its sockets and notes: a 0700 folder of its own. Promises stable names. */
import { join } from 'node:path'

export interface SocketPaths {
  /** QMP. */
  qmp: string
  /** The screen, RFB. */
  vnc: string
  /** The port of the agent in the guest, when the definition asks for one. */
  agent: string
  /** The witness's serial port, when the definition asks for one. */
  witness: string
  /** Where QEMU exports its disk to be mirrored into. */
  nbd: string
  /** Where QEMU expects a migration stream. */
  incoming: string
  /** Where the host listens for the migration stream this QEMU sends. */
  outgoing: string
  /** Where the host listens for the NBD connection this QEMU opens to the other side's disk. */
  mirror: string
  /** FIFOs to and from its second monitor, where it has one: see door.ts. */
  doorIn: string
  doorOut: string
  /** QEMU's own pid file: who it is when the host died before it could write run.json. */
  pidFile: string
  /** What adopts it again: `RunRecord`. */
  runFile: string
  /** stdout and stderr. */
  log: string
}

/** The longest name in the folder is that of a relay beside one of these; a unix socket's path ends at 107. */
export const maxSocketDirBytes = 107 - 1 - 'outgoing.sock.relay'.length

export function socketPaths(dir: string): SocketPaths {
  return {
    qmp: join(dir, 'qmp.sock'),
    vnc: join(dir, 'vnc.sock'),
    agent: join(dir, 'agent.sock'),
    witness: join(dir, 'witness.sock'),
    nbd: join(dir, 'nbd.sock'),
    incoming: join(dir, 'incoming.sock'),
    outgoing: join(dir, 'outgoing.sock'),
    mirror: join(dir, 'mirror.sock'),
    doorIn: join(dir, 'door.in'),
    doorOut: join(dir, 'door.out'),
    pidFile: join(dir, 'qemu.pid'),
    runFile: join(dir, 'run.json'),
    log: join(dir, 'qemu.log'),
  }
}
