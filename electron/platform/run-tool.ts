/** Runs a helper program to its end. Promises bounded time and output, and that nothing is left running. */
import { spawn } from 'node:child_process'
import { fail } from '../../shared/errors/index.ts'

export interface RunToolOptions {
  timeoutMs: number
  /** A tool that says more on either stream is ended. Default 8 MiB. */
  maxOutputBytes?: number
  signal?: AbortSignal
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Called with each piece of stdout as it comes. */
  onStdout?: (text: string) => void
}

export interface ToolResult {
  stdout: string
  stderr: string
  /** Exit code; null when a signal ended it. */
  code: number | null
}

/** Why a tool was ended by us; `ToolEnded.reason`. */
export type ToolEndReason = 'timeout' | 'output'

/** The tool was ended because it took too long or said too much. */
export class ToolEnded extends Error {
  readonly reason: ToolEndReason
  constructor(command: string, reason: ToolEndReason) {
    super(reason === 'timeout' ? `${command} took too long` : `${command} said too much`)
    this.name = 'ToolEnded'
    this.reason = reason
  }
}

/**
 * Runs `command`; a non-zero exit code is a result, not an error.
 * @throws host.cancelled when the signal fires; `ToolEnded`; the system error of the start (ENOENT)
 */
export function runTool(
  command: string,
  args: readonly string[],
  options: RunToolOptions,
): Promise<ToolResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ToolResult>()
  if (options.signal?.aborted) return Promise.reject(fail('host.cancelled'))
  const child = spawn(command, [...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...(options.env ?? process.env), LC_ALL: 'C' },
    ...(options.cwd ? { cwd: options.cwd } : {}),
  })
  const maxBytes = options.maxOutputBytes ?? 8 * 1024 * 1024
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  let failure: Error | null = null
  const end = (error: Error): void => {
    failure ??= error
    child.kill('SIGKILL')
  }
  const timer = setTimeout(() => end(new ToolEnded(command, 'timeout')), options.timeoutMs)
  const onAbort = (): void => end(fail('host.cancelled'))
  options.signal?.addEventListener('abort', onAbort, { once: true })

  const collect = (chunks: Buffer[]) => {
    let total = 0
    return (chunk: Buffer): void => {
      total += chunk.length
      if (total > maxBytes) end(new ToolEnded(command, 'output'))
      else chunks.push(chunk)
    }
  }
  child.stdout.on('data', collect(stdout))
  child.stderr.on('data', collect(stderr))
  if (options.onStdout) {
    const { onStdout } = options
    child.stdout.on('data', (chunk: Buffer) => onStdout(chunk.toString('utf8')))
  }
  child.once('error', (error) => {
    failure ??= error
    if (child.pid === undefined) finish(null)
  })
  child.once('close', (code) => finish(code))

  function finish(code: number | null): void {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', onAbort)
    if (failure) reject(failure)
    else resolve({ stdout: text(stdout), stderr: text(stderr), code })
  }
  return promise
}

function text(chunks: Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8')
}
