/**
 * Reads the witness port of a demo guest: ticks with the time of their arrival, and answers to commands.
 *
 * Promises: every tick that arrives is kept in order (the newest 360,000, an hour); answers go to the questions
 * in the order they were asked; a lost connection fails what waits. Relies on QEMU serving the port as
 * `-chardev socket,path=…,server=on,wait=off` and on the line format of assets/demo-guest/README.md.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { fail, toWdockError, type WdockError } from '../../shared/errors/index.ts'

const MOST_TICKS = 360_000
const LONGEST_LINE_BYTES = 4096
const RETRY_MS = 20

const count = z.coerce.number().int().nonnegative()
const tickLine = z
  .tuple([z.literal('t'), z.string().regex(/^[0-9a-f]{8}$/), count, count, count, count])
  .transform(([, boot, tick, record, sweeps, memoryErrors]) => ({ boot, tick, record, sweeps, memoryErrors }))

/** One tick: what the guest said, and when it arrived on this process' monotonic clock. */
export interface Tick extends z.infer<typeof tickLine> {
  readonly atMs: number
}

/** A pause between two ticks that arrived one after the other. */
export interface Gap {
  readonly fromMs: number
  readonly lengthMs: number
}

export interface WitnessCheck {
  readonly records: number
  readonly lost: number
  readonly torn: number
  readonly memoryIntact: boolean
  readonly memoryErrors: number
}

/** An answer begins with the first word of its command, so a late one does not pass for the next. */
type Wants =
  | { readonly kind: 'answer'; readonly word: string }
  | { readonly kind: 'ticks'; readonly received: number }

interface Waiter {
  readonly wants: Wants
  readonly done: (answer: string) => void
  readonly failed: (error: WdockError) => void
}

export interface WitnessOptions {
  /** How long to try while the socket is not there yet, in ms. */
  readonly connectTimeoutMs?: number
  /** A monotonic clock in ms; one for all readers whose ticks are compared. */
  readonly nowMs?: () => number
}

const silent = (what: string) => fail('host.unexpected', {}, { detail: `The witness of the guest ${what}.` })

async function open(path: string, timeoutMs: number): Promise<Socket> {
  const endMs = performance.now() + timeoutMs
  for (;;) {
    const outcome = await new Promise<Socket | Error>((resolve) => {
      const socket = connect(path, () => {
        socket.removeListener('error', resolve)
        resolve(socket)
      })
      socket.once('error', resolve)
    })
    if (!(outcome instanceof Error)) return outcome
    if (performance.now() >= endMs)
      throw fail('host.unexpected', {}, { detail: outcome.message, cause: outcome })
    await delay(RETRY_MS)
  }
}

export class WitnessReader {
  /** Ticks in the order of arrival. */
  readonly ticks: Tick[] = []
  readonly #socket: Socket
  readonly #nowMs: () => number
  #waiters: Waiter[] = []
  #rest = ''
  #firstLine: string | null = null
  #received = 0
  #ended: WdockError | null = null

  private constructor(socket: Socket, nowMs: () => number) {
    this.#socket = socket
    this.#nowMs = nowMs
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.#take(text))
    socket.on('error', (error) => this.#end(toWdockError(error)))
    socket.on('close', () => this.#end(silent('closed the connection')))
  }

  /** Connects, trying again until the socket is there. @throws host.unexpected after connectTimeoutMs (5 s). */
  static async connect(path: string, options: WitnessOptions = {}): Promise<WitnessReader> {
    const socket = await open(path, options.connectTimeoutMs ?? 5_000)
    return new WitnessReader(socket, options.nowMs ?? (() => performance.now()))
  }

  get lastTick(): Tick | null {
    return this.ticks.at(-1) ?? null
  }

  /** What has arrived of a line that has not ended yet. */
  get unfinished(): string {
    return this.#rest
  }

  /** The first line that arrived, which may be the end of one that began elsewhere; null before. */
  get firstLine(): string | null {
    return this.#firstLine
  }

  /** Sends one command. @returns the answer without `= `. @throws host.unexpected on silence or a lost connection */
  ask(command: string, timeoutMs = 10_000): Promise<string> {
    const wants: Wants = { kind: 'answer', word: command.split(' ')[0] ?? command }
    const answer = this.#wait(wants, timeoutMs, `did not answer "${command}" within ${timeoutMs} ms`)
    if (this.#ended === null) this.#socket.write(`${command}\n`, 'latin1')
    return answer
  }

  /** Has the guest verify every record and the whole of its memory pattern. @throws host.unexpected */
  async check(timeoutMs = 30_000): Promise<WitnessCheck> {
    const answer = await this.ask('check', timeoutMs)
    const found = /^check records=(\d+) lost=(\d+) torn=(\d+) mem=(ok|bad) memerrors=(\d+)$/.exec(answer)
    if (found === null) throw silent(`answered "${answer}" to check`)
    const [, records, lost, torn, memory, memoryErrors] = found
    return {
      records: Number(records),
      lost: Number(lost),
      torn: Number(torn),
      memoryIntact: memory === 'ok',
      memoryErrors: Number(memoryErrors),
    }
  }

  /** Waits until `count` more ticks arrived. @throws host.unexpected on silence or a lost connection */
  async waitForTicks(count: number, timeoutMs = 10_000): Promise<Tick> {
    const wants: Wants = { kind: 'ticks', received: this.#received + count }
    if (count > 0) await this.#wait(wants, timeoutMs, `sent fewer than ${count} ticks within ${timeoutMs} ms`)
    const last = this.lastTick
    if (last === null) throw silent('has sent no tick yet')
    return last
  }

  /** The pauses between neighbouring ticks of which both arrived within the times given, in ms, in order. */
  gaps(fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY): Gap[] {
    const within = this.ticks.filter((tick) => tick.atMs >= fromMs && tick.atMs <= toMs)
    return within.slice(1).map((tick, i) => {
      const before = within[i]?.atMs ?? tick.atMs
      return { fromMs: before, lengthMs: tick.atMs - before }
    })
  }

  /** Ends the connection; what still waits fails. The guest does not notice. */
  close(): void {
    this.#end(silent('is not listened to any more'))
    this.#socket.destroy()
  }

  #wait(wants: Wants, timeoutMs: number, complaint: string): Promise<string> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        this.#waiters = this.#waiters.filter((each) => each !== waiter)
      }
      const waiter: Waiter = {
        wants,
        done: (answer) => {
          settle()
          resolve(answer)
        },
        failed: (error) => {
          settle()
          reject(error)
        },
      }
      const timer = setTimeout(() => waiter.failed(silent(complaint)), timeoutMs)
      this.#waiters.push(waiter)
    })
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = (lines.pop() ?? '').slice(-LONGEST_LINE_BYTES)
    for (const line of lines) {
      this.#firstLine ??= line
      if (line.startsWith('= ')) this.#answer(line.slice(2).trimEnd())
      else this.#tick(line)
    }
  }

  /** A line cut at its start, when the reader came in the middle of it, is no tick and is passed over. */
  #tick(line: string): void {
    const parsed = tickLine.safeParse(line.trimEnd().split(' '))
    if (!parsed.success) return
    this.ticks.push({ ...parsed.data, atMs: this.#nowMs() })
    if (this.ticks.length > MOST_TICKS) this.ticks.splice(0, MOST_TICKS / 10)
    this.#received += 1
    for (const waiter of this.#waiters) {
      if (waiter.wants.kind === 'ticks' && this.#received >= waiter.wants.received) waiter.done('')
    }
  }

  #answer(answer: string): void {
    const word = answer.split(/[ ;]/)[0]
    const asked = this.#waiters.find(
      ({ wants }) => wants.kind === 'answer' && (word === wants.word || word === 'unknown'),
    )
    asked?.done(answer)
  }

  #end(error: WdockError): void {
    this.#ended ??= error
    for (const waiter of this.#waiters) waiter.failed(this.#ended)
  }
}

/**
 * Ticks that neither reader got when the guest moved from one to the other, `after` having listened before the
 * guest ran there. A line that began on one side and ended on the other counts as received.
 */
export function ticksLostBetween(before: WitnessReader, after: WitnessReader): number {
  const last = before.lastTick
  const first = after.ticks[0]
  if (last === null || first === undefined) throw silent('did not tick on both sides')
  const missing = Math.max(0, first.tick - last.tick - 1)
  const joined = tickLine.safeParse(`${before.unfinished}${after.firstLine ?? ''}`.trimEnd().split(' '))
  return joined.success && joined.data.tick === last.tick + 1 && missing > 0 ? missing - 1 : missing
}
