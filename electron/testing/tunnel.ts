/**
 * Joins the loopbacks of two network namespaces at one port, under the same number on both: so that a browser and a
 * client here can use a host that runs there, and a host there a store that listens here only. For tests and
 * measurements only.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect, createServer, type NetConnectOpts } from 'node:net'
import { join } from 'node:path'

export interface Tunnel {
  close(): Promise<void>
}

/** Brings a port of another namespace here. @param folder where the socket is made */
export async function openTunnel(namespace: string, port: number, folder: string): Promise<Tunnel> {
  const socketPath = join(folder, `tunnel-${port}.sock`)
  await rm(socketPath, { force: true })
  const child = await startEnd(namespace, socketPath, String(port))
  return await joinHere(child, { host: '127.0.0.1', port }, { path: socketPath })
}

/** Brings a port of ours there. @param folder where the socket is made */
export async function openTunnelThere(namespace: string, port: number, folder: string): Promise<Tunnel> {
  const socketPath = join(folder, `tunnel-${port}.sock`)
  await rm(socketPath, { force: true })
  const child = await startEnd(namespace, String(port), socketPath)
  return await joinHere(child, { path: socketPath }, { host: '127.0.0.1', port })
}

async function startEnd(namespace: string, listening: string, connected: string): Promise<ChildProcess> {
  const script = join(import.meta.dirname, 'tunnel-end.ts')
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, script, listening, connected], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return child
}

async function joinHere(
  child: ChildProcess,
  listening: NetConnectOpts,
  connected: NetConnectOpts,
): Promise<Tunnel> {
  const server = createServer({ noDelay: true }, (outer) => {
    const inner = connect(connected)
    outer.pipe(inner).pipe(outer)
    outer.on('error', () => inner.destroy())
    inner.on('error', () => outer.destroy())
  })
  server.listen(listening)
  await once(server, 'listening')
  return {
    close: async () => {
      // Takes the socket's file with it, where this end has one.
      server.close()
      await endChild(child)
      if ('path' in connected) await rm(connected.path, { force: true })
    },
  }
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
