/**
 * Serves a disk that nobody uses, read-only, over NBD on a unix socket: qemu-nbd with the contexts `base:allocation` and
 * `qemu:allocation-depth`. Promises that the image cannot be written to meanwhile, and that the server ends with us
 * however and whenever we end: a shell beside it ends it when the pipe from us breaks. A connection of ours is held open
 * because it would end with its last one. Relies on qemu-nbd of QEMU 7.2 or newer, which is in the package of qemu-img.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { fail, toWdockError, type WdockError } from '../../shared/errors/index.ts'
import { chainName, toolFailure } from './image.ts'
import { NbdClient } from './nbd-client.ts'

export interface ImageExportOptions {
  /** Bottom first; the last one is the image. No backing name in a file is followed. */
  chain: readonly string[]
  /** Up to 107 bytes; what is there is removed. */
  socketPath: string
  exportName: string
  signal?: AbortSignal
}

export interface ImageExport {
  /** Of the disk. */
  sizeBytes: number
  /** Cuts off whoever reads. */
  end(): Promise<void>
}

const startMs = 15_000
const lookAgainMs = 20
/**
 * Becomes the program that is given, under the same process id, and leaves a shell behind that kills it when descriptor
 * 3 ends. A line there lets it be: it has ended then, and its number may be another's. By itself qemu-nbd would wait for
 * its first connection for ever.
 */
const endWithParent = 'pid=$$; { read -r _ <&3 || kill -KILL "$pid"; } & exec "$@" 3<&-'
/** What a shell exits with when there is no such program. */
const noProgramCode = 127

/**
 * @throws qemu.missing, disk.locked, disk.truncated, disk.image_tool_failed, disk.nbd_failed, host.no_permission,
 * host.cancelled
 */
export async function exportImage(options: ImageExportOptions): Promise<ImageExport> {
  const { chain, socketPath, exportName, signal } = options
  signal?.throwIfAborted()
  await rm(socketPath, { force: true })
  const server = new Server(chain, socketPath, exportName)
  try {
    const holding = await server.connect(signal)
    const end = async (): Promise<void> => {
      await holding.close()
      await server.end()
    }
    return { sizeBytes: holding.sizeBytes, end }
  } catch (error) {
    await server.end()
    throw error
  }
}

class Server {
  readonly #child: ChildProcess
  readonly #path: string
  readonly #socketPath: string
  readonly #exportName: string
  readonly #exited: Promise<unknown>
  #said = ''
  #failure: unknown = null

  constructor(chain: readonly string[], socketPath: string, exportName: string) {
    this.#path = chain.at(-1) ?? ''
    this.#socketPath = socketPath
    this.#exportName = exportName
    const args = [
      ...['--read-only', '--shared=0', '--allocation-depth'],
      ...[`--socket=${socketPath}`, `--export-name=${exportName}`],
      chainName(chain),
    ]
    const child = spawn('/bin/sh', ['-c', endWithParent, 'sh', 'qemu-nbd', ...args], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const [, , stderr, life] = child.stdio
    if (!(life instanceof Socket)) throw new Error('unreachable')
    life.on('error', () => {})
    child.once('exit', () => life.end('\n'))
    // Both have closed what they had of us. An error of the start comes instead.
    this.#exited = once(child, 'close').catch((error: unknown) => {
      this.#failure = error
    })
    stderr?.on('data', (chunk: Buffer) => {
      this.#said = `${this.#said}${chunk.toString('utf8')}`.slice(-2000)
    })
  }

  get #hasEnded(): boolean {
    return this.#failure !== null || this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Waits until it listens. */
  async connect(signal: AbortSignal | undefined): Promise<NbdClient> {
    const { promise, stop } = untilEnd(startMs, signal)
    try {
      for (;;) {
        if (this.#hasEnded) throw this.#whyEnded()
        if ((await stat(this.#socketPath).catch(() => null)) !== null) {
          const options = { socketPath: this.#socketPath, exportName: this.#exportName }
          const client = await NbdClient.connect(signal ? { ...options, signal } : options).catch(
            (error: unknown) => {
              // The name is there a moment before it is listened to.
              if (signal?.aborted) throw error
              return null
            },
          )
          if (client !== null) return client
        }
        await Promise.race([wait(lookAgainMs), this.#exited, promise])
      }
    } finally {
      stop()
    }
  }

  async end(): Promise<void> {
    if (!this.#hasEnded) {
      // It only reads: there is nothing that it would have to put down first.
      this.#child.kill('SIGKILL')
    }
    await this.#exited
    await rm(this.#socketPath, { force: true })
  }

  #whyEnded(): WdockError {
    if (this.#failure !== null) return toWdockError(this.#failure)
    if (this.#child.exitCode === noProgramCode) return fail('qemu.missing', {}, { detail: this.#said })
    return toolFailure(this.#path, { stderr: this.#said, code: this.#child.exitCode })
  }
}

/** Rejects when the time is over, or the caller has no more interest. */
function untilEnd(timeoutMs: number, signal: AbortSignal | undefined) {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => {})
  const detail = `qemu-nbd did not listen within ${timeoutMs / 1000} s`
  const timer = setTimeout(() => reject(fail('disk.nbd_failed', {}, { detail })), timeoutMs)
  const onAbort = (): void => reject(fail('host.cancelled'))
  signal?.addEventListener('abort', onAbort, { once: true })
  const stop = (): void => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
  return { promise, stop }
}
