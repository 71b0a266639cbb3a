/**
 * Run inside a network namespace: joins connections to a unix socket with a TCP port on this namespace's own
 * loopback. The socket's file is visible to every namespace. Arguments: socket path, port.
 */
import { connect, createServer } from 'node:net'

const [socketPath, port] = process.argv.slice(2)
const server = createServer((outer) => {
  const inner = connect({ host: '127.0.0.1', port: Number(port), noDelay: true })
  outer.pipe(inner).pipe(outer)
  outer.on('error', () => inner.destroy())
  inner.on('error', () => outer.destroy())
})
server.listen(socketPath, () => process.stdout.write('ready\n'))
