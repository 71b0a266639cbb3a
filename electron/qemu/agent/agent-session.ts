/**
 * A conversation with the agent that runs in a guest, if one does (docs/interop/qemu-ga): one JSON value a line, over a
 * port that QEMU gives to a unix socket. Promises that what an earlier conversation left unread is passed over, that
 * nothing that the guest sends takes more than a little memory, and that every call ends within its time. What comes
 * is the guest's word: nobody relies on it for more than the guest's own good.
 */
import { randomInt } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { z } from 'zod'
import { fail, type WdockError } from '../../../shared/errors/index.ts'
import { LineSplitter } from '../qmp/framing.ts'

/** In front of a line: forget what came before (guest-sync-delimited). */
const sentinel = 0xff
const longestLine = 64 * 1024
const mostUnread = 8
const mostDetail = 500

const answer = z.union([
  z.object({ return: z.unknown() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }) }),
])

export interface AgentCommand {
  name: string
  /** JSON text: numbers of the agent are longer than those of JavaScript. Default: none. */
  args?: string
}

export class AgentSession {
  readonly #socket: Socket
  readonly #over = new AbortController()
  #lines = new LineSplitter(longestLine)
  /** Of these the first is waited for next. */
  #unread: string[] = []
  #waiting: ((line: string) => void) | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (error) => this.#over.abort(error))
    socket.on('close', () => this.#over.abort(new Error('the port was closed')))
  }

  /** @param socketPath of QEMU's port @throws guest.agent_silent when nobody answers in there */
  static async open(socketPath: string, timeoutMs: number): Promise<AgentSession> {
    const session = new AgentSession(connect(socketPath))
    try {
      await session.#sync(timeoutMs)
      return session
    } catch (error) {
      session.close()
      throw error
    }
  }

  /**
   * Has the agent do one after the other. All of it is on its way at once: what is to follow follows even if this
   * program ends in between.
   * @param timeoutMs for all of them
   * @throws guest.agent_silent; guest.agent_refused for the first that was refused, when all were answered
   */
  async call(commands: readonly AgentCommand[], timeoutMs: number): Promise<void> {
    const endMs = performance.now() + timeoutMs
    let request = commands
      .map(({ name, args = '{}' }) => `{"execute":"${name}","arguments":${args}}\n`)
      .join('')
    let refused: WdockError | null = null
    for (const { name } of commands) {
      const line = await this.#exchange(request, endMs - performance.now(), name)
      const parsed = answer.safeParse(parseJson(line))
      const detail = parsed.success ? refusalIn(parsed.data) : line
      if (detail !== null) {
        refused ??= fail('guest.agent_refused', { command: name }, { detail: detail.slice(0, mostDetail) })
      }
      request = ''
    }
    if (refused !== null) throw refused
  }

  close(): void {
    this.#socket.destroy()
  }

  async #sync(timeoutMs: number): Promise<void> {
    const id = randomInt(2 ** 30)
    // The byte makes the agent forget half a command as well.
    const request = Buffer.concat([
      Buffer.of(sentinel),
      Buffer.from(`{"execute":"guest-sync-delimited","arguments":{"id":${id}}}\n`),
    ])
    const endMs = performance.now() + timeoutMs
    let line = await this.#exchange(request, timeoutMs, 'guest-sync-delimited')
    // Answers to those who asked before and did not wait.
    while (!isAnswerTo(line, id)) {
      line = await this.#exchange('', endMs - performance.now(), 'guest-sync-delimited')
    }
  }

  /** Sends, and waits for the next line. */
  async #exchange(request: string | Buffer, timeoutMs: number, command: string): Promise<string> {
    const line = Promise.withResolvers<string>()
    const silent = (cause?: unknown): void =>
      line.reject(fail('guest.agent_silent', { command }, { detail: String(cause ?? 'no answer') }))
    const onOver = (): void => silent(this.#over.signal.reason)
    const timer = setTimeout(silent, Math.max(0, timeoutMs))
    this.#over.signal.addEventListener('abort', onOver, { once: true })
    if (request.length > 0) this.#socket.write(request)
    const next = this.#unread.shift()
    if (next === undefined) this.#waiting = line.resolve
    else line.resolve(next)
    if (this.#over.signal.aborted) onOver()
    try {
      return await line.promise
    } finally {
      this.#waiting = null
      clearTimeout(timer)
      this.#over.signal.removeEventListener('abort', onOver)
    }
  }

  #hear(line: string): void {
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting !== null) waiting(line)
    else if (this.#unread.length < mostUnread) this.#unread.push(line)
    else throw new Error('more than was asked for')
  }

  #take(chunk: Buffer): void {
    const last = chunk.lastIndexOf(sentinel)
    // It is in no UTF-8 text.
    if (last >= 0) {
      this.#lines = new LineSplitter(longestLine)
      this.#unread = []
    }
    try {
      for (const line of this.#lines.push(last < 0 ? chunk : chunk.subarray(last + 1))) this.#hear(line)
    } catch (error) {
      this.#over.abort(error)
      this.#socket.destroy()
    }
  }
}

function refusalIn(found: z.output<typeof answer>): string | null {
  return 'error' in found ? found.error.desc : null
}

function isAnswerTo(line: string, id: number): boolean {
  return z.object({ return: z.literal(id) }).safeParse(parseJson(line)).success
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}
