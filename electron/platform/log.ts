/**
 * The host's log: JSON lines with constant messages and fields. Promises never to block or throw into the
 * caller: lines wait in memory up to a limit and are counted when dropped; files rotate at a size and only
 * so many are kept.
 */
import { appendFile, rename, rm, stat } from 'node:fs/promises'
import { type Clock, systemClock } from './clock.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  /** `message` is a constant; what varies goes into `fields`. */
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A log that adds `fields` to every line. */
  child(fields: LogFields): Log
  /** Resolves when everything logged so far is in the file. */
  flush(): Promise<void>
}

export interface LogOptions {
  path: string
  /** A file that has grown past this is rotated. Default 4 MiB. */
  maxBytes?: number
  /** How many rotated files (`path.1` …) are kept. Default 3. */
  keep?: number
  level?: LogLevel
  clock?: Clock
}

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }
const maxWaitingBytes = 1024 * 1024

/** A log into a file. The folder must exist. */
export function createLog(options: LogOptions): Log {
  const writer = new LogWriter(options.path, options.maxBytes ?? 4 * 1024 * 1024, options.keep ?? 3)
  const clock = options.clock ?? systemClock
  const lowest = order[options.level ?? 'info']
  return logOver(
    (level, message, fields) => {
      if (order[level] < lowest) return
      const time = new Date(clock.nowMs()).toISOString()
      writer.add(`${stringify({ time, level, message, ...fields })}\n`)
    },
    () => writer.flush(),
    {},
  )
}

/** A log that keeps nothing. */
export const silentLog: Log = logOver(
  () => {},
  async () => {},
  {},
)

/** A log whose lines go to `write`, wherever that takes them. */
export function logOver(
  write: (level: LogLevel, message: string, fields: LogFields) => void,
  flush: () => Promise<void>,
  own: LogFields,
): Log {
  const at =
    (level: LogLevel) =>
    (message: string, fields?: LogFields): void =>
      write(level, message, { ...own, ...fields })
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => logOver(write, flush, { ...own, ...fields }),
    flush,
  }
}

function stringify(value: unknown): string {
  try {
    return JSON.stringify(value, plainValue)
  } catch {
    return JSON.stringify({ message: 'a log line could not be written as JSON' })
  }
}

function plainValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Error) {
    const cause = value.cause === undefined ? {} : { cause: value.cause }
    return { ...value, name: value.name, message: value.message, stack: value.stack, ...cause }
  }
  return value
}

class LogWriter {
  readonly #path: string
  readonly #maxBytes: number
  readonly #keep: number
  #waiting: string[] = []
  #waitingBytes = 0
  #dropped = 0
  #sizeBytes: number | null = null
  #writing: Promise<void> | null = null

  constructor(path: string, maxBytes: number, keep: number) {
    this.#path = path
    this.#maxBytes = maxBytes
    this.#keep = keep
  }

  add(line: string): void {
    if (this.#waitingBytes > maxWaitingBytes) {
      this.#dropped += 1
      return
    }
    this.#waiting.push(line)
    this.#waitingBytes += Buffer.byteLength(line)
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = null
    })
  }

  async flush(): Promise<void> {
    while (this.#writing) await this.#writing
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting.join('')
      const note =
        this.#dropped > 0 ? `${JSON.stringify({ message: 'log lines dropped', count: this.#dropped })}\n` : ''
      this.#waiting = []
      this.#waitingBytes = 0
      this.#dropped = 0
      // A log that cannot be written must not stop the host: these lines are lost.
      await this.#append(lines + note).catch(() => {})
    }
  }

  async #append(content: string): Promise<void> {
    this.#sizeBytes ??= (await stat(this.#path).catch(() => null))?.size ?? 0
    if (this.#sizeBytes > this.#maxBytes) await this.#rotate()
    await appendFile(this.#path, content, { mode: 0o600 })
    this.#sizeBytes += Buffer.byteLength(content)
  }

  async #rotate(): Promise<void> {
    await rm(`${this.#path}.${this.#keep}`, { force: true })
    for (let n = this.#keep - 1; n >= 1; n -= 1) {
      await rename(`${this.#path}.${n}`, `${this.#path}.${n + 1}`).catch(() => {})
    }
    if (this.#keep > 0) await rename(this.#path, `${this.#path}.1`)
    else await rm(this.#path, { force: true })
    this.#sizeBytes = 0
  }
}
