/**
 * The receiving end of a capture, in a thread of its own, for tests and measurements: takes one migration stream from a
 * unix socket, tells of its first pages and its end, and keeps it in a file if told to.
 */
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { z } from 'zod'
import { StreamParser, type StreamSink } from '../../stream/parser.ts'

const plan = z
  .object({
    socketPath: z.string(),
    savePath: z.string().nullable(),
    /** `count` reads and forgets, `stall` takes the connection and reads nothing. */
    manner: z.enum(['count', 'stall']),
  })
  .parse(workerData)

const counting: StreamSink = {
  head: () => undefined,
  page: () => undefined,
  zeroPage: () => undefined,
  end: () => undefined,
}

function tell(message: { kind: 'listening' | 'first' } | { kind: 'end'; bytes: number; whole: boolean }) {
  parentPort?.postMessage(message)
}

/** Reads all that there is, at once: a receiver that lets QEMU wait is felt by the guest. */
function take(socket: Socket): void {
  const parser = new StreamParser(counting, { onFirstPart: () => tell({ kind: 'first' }) })
  const file = plan.savePath === null ? null : createWriteStream(plan.savePath)
  let bytes = 0
  let broken = false
  socket.on('data', (chunk) => {
    bytes += chunk.length
    file?.write(chunk)
    try {
      if (!broken) void parser.write(chunk)
    } catch {
      broken = true
    }
  })
  socket.on('close', async () => {
    if (file !== null) await new Promise<void>((resolve) => file.end(resolve))
    const whole =
      !broken &&
      (await parser.end().then(
        () => true,
        () => false,
      ))
    tell({ kind: 'end', bytes, whole })
  })
}

await rm(plan.socketPath, { force: true })
const server = createServer((socket) => {
  server.close()
  socket.on('error', () => {})
  // A connection that nobody reads does not keep a thread alive.
  if (plan.manner === 'stall') setInterval(() => socket.pause(), 60_000)
  else take(socket)
})
server.listen(plan.socketPath, () => tell({ kind: 'listening' }))
