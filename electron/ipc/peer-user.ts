/**
 * Whose program is at the other end of a local connection. 127.0.0.1 is shared by all users of a PC, and
 * tokens can be seen on command lines: so connections of other users are not answered at all. Relies on
 * Linux's /proc/net/tcp.
 */
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

/** True for this user and root; false for others, and for what can't be told. */
export async function isOwnUser(socket: Socket): Promise<boolean> {
  const { localPort, remotePort } = socket
  if (localPort === undefined || remotePort === undefined) return false
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(table, 'ascii').catch(() => '')
    const owner = peerUser(text, { localPort, remotePort })
    if (owner !== null) return owner === 0 || owner === process.getuid?.()
  }
  return false
}

/**
 * The user id of the far end of a connection over 127.0.0.1, or null when it is not in the table.
 * @param table /proc/net/tcp or tcp6 (proc(5)): `sl local rem st queues tr retrnsmt uid …`, addresses in hex
 * @param ports as this end sees them
 */
export function peerUser(table: string, ports: { localPort: number; remotePort: number }): number | null {
  // The far end's own line: there our remote address is the local one.
  const wanted = new RegExp(`: ${address(ports.remotePort)} ${address(ports.localPort)} `)
  const line = table.split('\n').find((one) => wanted.test(one))
  const owner = line?.trim().split(/\s+/)[7]
  return owner === undefined ? null : Number(owner)
}

/** 127.0.0.1, or ::ffff:127.0.0.1, in the byte order of the table, and the port. */
function address(port: number): string {
  return `(?:0{16}FFFF0{4})?0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
}
