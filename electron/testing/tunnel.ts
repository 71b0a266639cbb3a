/**
 * Reaches a port on the loopback of another network namespace under the same number on our own loopback, so that
 * a browser and a client here can use a host that runs there. For tests and measurements only.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

export interface Tunnel {
  close(): Promise<void>
}

/** @param folder where the socket is made */
export async function openTunnel(namespace: string, port: number, folder: string): Promise<Tunnel> {
  const socketPath = join(folder, `tunnel-${port}.sock`)
  await rm(socketPath, { force: true })
  const script = join(import.meta.dirname, 'tunnel-end.ts')
  const child = spawn(
    'ip',
    ['netns', 'exec', namespace, process.execPath, script, socketPath, String(port)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  await once(child.stdout, 'data')
  const server = createServer({ noDelay: true }, (outer) => {
    const inner = connect({ path: socketPath })
    outer.pipe(inner).pipe(outer)
    outer.on('error', () => inner.destroy())
    inner.on('error', () => outer.destroy())
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    close: async () => {
      server.close()
      await endChild(child)
      await rm(socketPath, { force: true })
    },
  }
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
