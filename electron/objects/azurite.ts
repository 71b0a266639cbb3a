/**
 * Azurite, the emulator of Azure's storage, as a child process: for a place without an account, and for tests. It
 * listens on a free port of this PC only, under an account and a key of its own, which `folder` remembers. Promises
 * that it ends with `end`, and by itself when this process is gone. Relies on the npm package `azurite`, which an
 * installed program does not have.
 *
 * It keeps its list of objects in memory and writes it every 5 s and when it ends: what it took just before it is
 * killed can be lost.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import { readJson, writeJsonAtomic } from '../platform/atomic-file.ts'
import { endProcess, processIdentity } from '../platform/processes.ts'
import { type Random, systemRandom } from '../platform/random.ts'
import type { AzureAccess } from './azure/access.ts'

export interface AzuriteOptions {
  /** Where objects and the key are kept, made where missing; null keeps them in memory. */
  folder: string | null
  random?: Random
  /** 0, the default, is a free one. */
  port?: number
  /** For tests alone: modules that its process loads first. */
  imports?: readonly string[]
}

export interface Azurite {
  /** As `http://127.0.0.1:40001/wdock`. */
  readonly endpoint: string
  readonly account: string
  readonly key: string
  readonly pid: number
  /** How to open a container of it. */
  access(container: string): AzureAccess
  /** Resolves when the process is gone. What it took is on the disk then. */
  end(): Promise<void>
}

const account = 'wdock'
const accountFile = z.object({ version: z.literal(1), key: z.string().min(1) })
const startTimeoutMs = 60_000
const endGraceMs = 10_000
/** Ends it as its own signal does, when the pipe from us breaks. The pipe by itself does not keep it alive. */
const endWithParent = "process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM')).resume().unref()"
const mostWords = 4000

/** @throws store.azurite_missing, store.azurite_failed, host.disk_full, host.no_permission */
export async function startAzurite(options: AzuriteOptions): Promise<Azurite> {
  const { node, program } = findPrograms()
  const random = options.random ?? systemRandom
  const key = options.folder === null ? newKey(random) : await keyOf(options.folder, random)
  const where =
    options.folder === null
      ? ['--inMemoryPersistence', '--extentMemoryLimit', '2048']
      : ['--location', join(options.folder, 'blobs')]
  const child = spawn(
    node,
    [
      ...['--import', `data:text/javascript,${encodeURIComponent(endWithParent)}`],
      ...(options.imports ?? []).flatMap((module) => ['--import', module]),
      ...[program, ...where],
      ...['--blobHost', '127.0.0.1', '--blobPort', String(options.port ?? 0)],
      ...['--silent', '--disableTelemetry', '--skipApiVersionCheck'],
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, AZURITE_ACCOUNTS: `${account}:${key}` } },
  )
  // The pipe breaks when it ends first.
  child.stdin.on('error', () => {})
  const address = await untilItListens(child)
  const endpoint = `${address}/${account}`
  const pid = child.pid ?? 0
  return {
    ...{ endpoint, account, key, pid },
    access: (container) => ({ kind: 'account-key', account, key, endpoint, container }),
    end: () => endChild(child),
  }
}

/** Electron's program is not Node; where Azurite is installed, Node is beside it, as a package too. */
function findPrograms(): { node: string; program: string } {
  const find = (what: string) => fileURLToPath(import.meta.resolve(what))
  try {
    const node = process.versions.electron === undefined ? process.execPath : find('node/bin/node')
    return { node, program: find('azurite/dist/src/blob/main.js') }
  } catch (error) {
    throw fail('store.azurite_missing', {}, { cause: error })
  }
}

function newKey(random: Random): string {
  return random.bytes(64).toString('base64')
}

async function keyOf(folder: string, random: Random): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, 'account.json')
  const found = await readJson(path, accountFile)
  if (found !== null) return found.key
  const key = newKey(random)
  await writeJsonAtomic(path, { version: 1, key })
  return key
}

/** @returns its address, as it says it */
function untilItListens(child: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let words = ''
  const giveUp = (reason: string): void => {
    child.kill('SIGKILL')
    reject(fail('store.azurite_failed', {}, { detail: `${reason}\n${words}`.trim() }))
  }
  const listen = (chunk: Buffer): void => {
    words = `${words}${chunk.toString('utf8')}`.slice(-mostWords)
    const address = /successfully listens on (http:\/\/[^\s]+)/.exec(words)?.[1]
    if (address !== undefined) resolve(address)
  }
  child.stdout?.on('data', listen)
  child.stderr?.on('data', listen)
  child.once('error', (error) => giveUp(error.message))
  child.once('exit', (code) => giveUp(`It ended with ${code}.`))
  const timer = setTimeout(() => giveUp('It did not listen in time.'), startTimeoutMs)
  return promise.finally(() => clearTimeout(timer))
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const identity = child.pid === undefined ? null : processIdentity(child.pid)
  if (identity !== null) await endProcess(identity, { graceMs: endGraceMs })
  await gone
}
