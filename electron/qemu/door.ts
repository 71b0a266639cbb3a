/**
 * A second monitor of a QEMU that takes a guest before all of its memory: a pair of FIFOs over which it is told to listen
 * anew. Such a QEMU may stand waiting for a page, and then it obeys nothing but out-of-band commands (exec-oob), and not
 * even greets a new client of its first monitor. FIFOs have no clients that come and go: what was negotiated when it was
 * started holds for every later host. Relies on `mkfifo`, and on one host at a time.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { open } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import { promisify } from 'node:util'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import { LineSplitter } from './qmp/framing.ts'
import type { SocketPaths } from './sockets.ts'

const run = promisify(execFile)
const openFd = promisify(open)
const timeoutMs = 5000

type DoorPaths = Pick<SocketPaths, 'doorIn' | 'doorOut'>

const reply = z.object({
  id: z.string(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
})

/** Before QEMU starts. */
export async function makeDoor({ doorIn, doorOut }: DoorPaths): Promise<void> {
  await run('mkfifo', ['-m', '600', doorIn, doorOut])
}

/** Once, when QEMU has started. @throws qemu.silent */
export async function openDoor(paths: DoorPaths): Promise<void> {
  await say(paths, { execute: 'qmp_capabilities', arguments: { enable: ['oob'] } })
}

/**
 * Destination, `postcopy-paused`: QEMU listens for the source once more. @throws qemu.command_failed in any other state;
 * qemu.silent when it has ended
 */
export async function listenForRest(paths: DoorPaths, uri: string): Promise<void> {
  await say(paths, { 'exec-oob': 'migrate-recover', arguments: { uri } })
}

async function say(paths: DoorPaths, command: Readonly<Record<string, unknown>>): Promise<void> {
  // For both directions each: to open one end alone waits for the other.
  const [input, output] = await Promise.all([openFile(paths.doorIn, 'r+'), openFd(paths.doorOut, 'r+')])
  try {
    const id = randomUUID()
    const answered = answerTo(id, output)
    answered.catch(() => undefined)
    await input.write(`${JSON.stringify({ ...command, id })}\n`)
    const { error } = await answered
    if (error === undefined) return
    const name = String(command['exec-oob'] ?? command.execute)
    throw fail('qemu.command_failed', { command: name }, { detail: `${name}: ${error.class}: ${error.desc}` })
  } finally {
    await input.close()
  }
}

/** Passes over what it said before, to whomever. The file is closed with the socket. */
async function answerTo(id: string, fd: number): Promise<z.infer<typeof reply>> {
  const answer = Promise.withResolvers<z.infer<typeof reply>>()
  const lines = new LineSplitter()
  const socket = new Socket({ fd, readable: true, writable: false })
  const timer = setTimeout(
    () => answer.reject(fail('qemu.silent', { command: 'out of band', seconds: timeoutMs / 1000 })),
    timeoutMs,
  )
  socket.on('error', (error) => answer.reject(error))
  socket.on('data', (chunk: Buffer) => {
    for (const line of lines.push(chunk)) {
      const parsed = reply.safeParse(parseJson(line))
      if (parsed.success && parsed.data.id === id) answer.resolve(parsed.data)
    }
  })
  try {
    return await answer.promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}
