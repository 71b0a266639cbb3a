/**
 * What the QEMU of this PC is and can do, asked of QEMU itself in one short run and remembered for as long as
 * the program file stays the same.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, realpath, stat } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import { readJson, systemErrorCode, writeJsonAtomic } from '../platform/atomic-file.ts'
import { askCpuOffer, cpuOffer } from './cpu-offer.ts'
import {
  queryCommandLineOptions,
  queryMachines,
  queryMigrateCapabilities,
  queryQmpSchema,
  quit,
} from './qmp/commands.ts'
import { QmpSession } from './qmp/session.ts'

/** The oldest QEMU that has all this project needs. */
export const minimumQemu = { major: 7, minor: 2 } as const
const qemuProgram = 'qemu-system-x86_64'

const qemuInfo = z.object({
  /** Absolute path of the program. */
  binary: z.string(),
  version: z.object({ major: z.number(), minor: z.number(), micro: z.number(), text: z.string() }),
  /** The versioned q35 types it knows, newest first. */
  machineTypes: z.array(z.string()),
  latestMachine: z.string(),
  /** What emulation offers; for KVM see `probeKvmCpu`. */
  emulatedCpu: cpuOffer,
  migrationCapabilities: z.array(z.string()),
  /** `-netdev stream`, 7.2 and newer. */
  hasNetdevStream: z.boolean(),
  /** Built with seccomp. */
  hasSandbox: z.boolean(),
})
export type QemuInfo = z.infer<typeof qemuInfo>

/** Changes with every update of the program. */
const programKey = z.object({ path: z.string(), mtimeMs: z.number(), sizeBytes: z.number() })
type ProgramKey = z.infer<typeof programKey>
const cacheFile = z.object({ version: z.literal(2), key: programKey, info: qemuInfo })

export interface ProbeQemuOptions {
  /** The program: a name to be found in PATH, or a path. Default qemu-system-x86_64. */
  binary?: string
  /** Where the answer is remembered; without it QEMU is asked every time. */
  cachePath?: string
  timeoutMs?: number
}

/**
 * Asks QEMU what it is. Takes about 0.3 s, nothing when remembered.
 * @throws qemu.missing, qemu.too_old, qemu.start_failed with what it printed
 */
export async function probeQemu(options: ProbeQemuOptions = {}): Promise<QemuInfo> {
  const binary = await findProgram(options.binary ?? qemuProgram)
  const key = await keyOf(binary)
  const remembered = options.cachePath ? await readCache(options.cachePath, key) : null
  if (remembered) return remembered
  const info = await askQemu(binary, options.timeoutMs ?? 15_000)
  if (options.cachePath) await writeJsonAtomic(options.cachePath, { version: 2, key, info })
  return info
}

/** A remembered answer that is damaged is asked again. */
async function readCache(path: string, key: ProgramKey): Promise<QemuInfo | null> {
  const cached = await readJson(path, cacheFile).catch(() => null)
  if (!cached) return null
  const same =
    cached.key.path === key.path &&
    cached.key.mtimeMs === key.mtimeMs &&
    cached.key.sizeBytes === key.sizeBytes
  return same ? cached.info : null
}

async function keyOf(binary: string): Promise<ProgramKey> {
  const path = await realpath(binary)
  const { mtimeMs, size } = await stat(path)
  return { path, mtimeMs, sizeBytes: size }
}

/** The absolute path of an executable. @throws qemu.missing */
async function findProgram(name: string): Promise<string> {
  const folders = (process.env.PATH ?? '/usr/bin:/bin').split(delimiter).filter(isAbsolute)
  const candidates = name.includes('/') ? [name] : folders.map((folder) => join(folder, name))
  for (const candidate of candidates) {
    try {
      await access(candidate, constants.X_OK)
      return candidate
    } catch {
      // Not here: the next one.
    }
  }
  throw fail('qemu.missing', {}, { detail: `${name} is not in ${folders.join(', ')}` })
}

async function askQemu(binary: string, timeoutMs: number): Promise<QemuInfo> {
  const run = startForQuestions(binary, ['-accel', 'tcg'])
  try {
    const qmp = await QmpSession.over(run.streams, { timeoutMs })
    const { qemu, package: packageText } = qmp.version
    checkVersion(qemu)
    const [machines, emulatedCpu, capabilities, options, schema] = await Promise.all([
      queryMachines(qmp),
      askCpuOffer(qmp),
      queryMigrateCapabilities(qmp),
      queryCommandLineOptions(qmp),
      queryQmpSchema(qmp),
    ])
    await quit(qmp).catch(() => {})
    const machineTypes = q35Types(machines.map((machine) => machine.name))
    const number = `${qemu.major}.${qemu.minor}.${qemu.micro}`
    return {
      binary,
      version: { ...qemu, text: packageText ? `${number} (${packageText})` : number },
      machineTypes,
      latestMachine: machineTypes[0] ?? `pc-q35-${qemu.major}.${qemu.minor}`,
      emulatedCpu,
      migrationCapabilities: capabilities.map((entry) => entry.capability),
      hasNetdevStream: schema.some(
        (entry) => entry.values?.includes('vhost-vdpa') && entry.values.includes('stream'),
      ),
      hasSandbox: options.some((entry) => entry.option === 'sandbox'),
    }
  } catch (error) {
    throw run.explain(error)
  } finally {
    await run.end()
  }
}

/** @throws qemu.too_old */
export function checkVersion(found: { major: number; minor: number; micro: number }): void {
  const { major, minor } = minimumQemu
  if (found.major > major || (found.major === major && found.minor >= minor)) return
  throw fail('qemu.too_old', {
    found: `${found.major}.${found.minor}.${found.micro}`,
    needed: `${major}.${minor}`,
  })
}

/** The pinned q35 types among `names`, newest first; bug-fix types such as pc-q35-4.0.1 are left out. */
export function q35Types(names: readonly string[]): string[] {
  return names
    .flatMap((name) => {
      const match = /^pc-q35-(\d+)\.(\d+)$/.exec(name)
      return match ? [{ name, rank: Number(match[1]) * 1000 + Number(match[2]) }] : []
    })
    .sort((a, b) => b.rank - a.rank)
    .map((entry) => entry.name)
}

export interface QuestionRun {
  streams: {
    input: NodeJS.ReadableStream & import('node:stream').Readable
    output: import('node:stream').Writable
  }
  /** Puts what QEMU printed into an error of a run that ended too early. */
  explain(error: unknown): unknown
  /** Ends it. */
  end(): Promise<void>
}

/** Starts a QEMU without a machine, its monitor on stdin and stdout, only to be asked things. */
export function startForQuestions(binary: string, args: readonly string[]): QuestionRun {
  const child = spawn(
    binary,
    [
      '-no-user-config',
      '-nodefaults',
      '-display',
      'none',
      '-machine',
      'none',
      '-S',
      '-qmp',
      'stdio',
      ...args,
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  )
  const printed: Buffer[] = []
  let startError: unknown = null
  child.on('error', (error) => {
    startError = error
    child.stdout.destroy()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    if (printed.length < 64) printed.push(chunk)
  })
  const closed = once(child, 'close').catch(() => {})
  return {
    streams: { input: child.stdout, output: child.stdin },
    explain(error) {
      if (systemErrorCode(startError) === 'ENOENT') return fail('qemu.missing', {}, { cause: startError })
      const text = Buffer.concat(printed).toString('utf8').trim()
      const early = error instanceof Error && 'code' in error && error.code === 'qemu.gone'
      return early ? fail('qemu.start_failed', {}, { detail: text.slice(-4096), cause: error }) : error
    },
    async end() {
      child.kill('SIGKILL')
      await closed
    },
  }
}
