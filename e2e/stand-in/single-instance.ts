/**
 * One app a user-data folder, as Electron does it. The first instance listens on a unix socket named after the
 * folder in the abstract namespace of Linux, so that nothing stays behind; a later one finds it taken.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'

/** Run by a child process: ends with 0 when somebody listens and was told. */
const knock = `
const socket = require('node:net').connect('\\0' + process.env.KNOCK_AT)
socket.on('connect', () => socket.end(process.env.KNOCK_TEXT))
socket.on('close', () => process.exit(0)).resume()
socket.on('error', () => process.exit(1))
`

/**
 * @param onSecond called with the arguments of every later instance
 * @returns false when another instance has the lock; it was told the arguments
 */
export function takeInstanceLock(
  userDataDir: string,
  argv: readonly string[],
  onSecond: (argv: string[]) => void,
): boolean {
  const name = `wdock-stand-in-${createHash('sha256').update(userDataDir).digest('hex').slice(0, 24)}`
  // Electron answers at once, so the question has to block: a child process asks it.
  const env = { KNOCK_AT: name, KNOCK_TEXT: JSON.stringify(argv) }
  if (spawnSync(process.execPath, ['-e', knock], { env, timeout: 5000 }).status === 0) return false
  const server = createServer((socket) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (part: string) => {
      text += part
    })
    socket.on('end', () => onSecond(JSON.parse(text)))
    socket.on('error', () => {})
  })
  server.listen(`\0${name}`)
  server.unref()
  return true
}
