/** Chooses how this page reaches the host: through Electron where there is a preload script, else by WebSocket. */
import { createConnection } from './connection.ts'
import type { HostConnection } from './host-client.ts'
import { takeToken } from './token.ts'
import { electronTransport, isElectron, socketTransport } from './transports.ts'

export function createClient(): HostConnection {
  return createConnection(isElectron() ? electronTransport : socketTransport(takeToken()))
}
