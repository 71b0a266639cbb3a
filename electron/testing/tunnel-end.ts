/**
 * Run inside a network namespace: takes connections at one end and joins each with one to the other end. An end is a
 * unix socket, whose file is visible to every namespace, or a TCP port on this namespace's own loopback. Arguments:
 * the end that listens, the end that is connected to, each a path or a number.
 */
import { connect, createServer, type NetConnectOpts } from 'node:net'

function endOf(text: string | undefined): NetConnectOpts & { noDelay?: boolean } {
  return /^\d+$/.test(text ?? '')
    ? { host: '127.0.0.1', port: Number(text), noDelay: true }
    : { path: text ?? '' }
}

const [listening, connected] = process.argv.slice(2).map(endOf)
const server = createServer({ noDelay: true }, (outer) => {
  const inner = connect(connected ?? { path: '' })
  outer.pipe(inner).pipe(outer)
  outer.on('error', () => inner.destroy())
  inner.on('error', () => outer.destroy())
})
server.listen(listening, () => process.stdout.write('ready\n'))
