/**
 * The QMP commands this project uses, typed, their answers parsed. Names and members are those of QEMU's QMP
 * reference (docs/interop/qemu-qmp-ref). Each throws what `QmpSession.execute` throws, and qemu.bad_reply when
 * an answer does not have the expected form.
 */
import { z } from 'zod'
import { fail } from '../../../shared/errors/index.ts'
import type { ExecuteOptions, QmpSession } from './session.ts'

/** Runs a command and parses its answer. */
async function ask<Schema extends z.ZodType>(
  qmp: QmpSession,
  schema: Schema,
  command: string,
  args: Readonly<Record<string, unknown>> = {},
  options: ExecuteOptions = {},
): Promise<z.output<Schema>> {
  const answer = await qmp.execute(command, args, options)
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  throw fail('qemu.bad_reply', {}, { detail: `${command}: ${parsed.error.message}` })
}

/** Runs a command whose answer says nothing. */
async function tell(
  qmp: QmpSession,
  command: string,
  args: Readonly<Record<string, unknown>> = {},
  options: ExecuteOptions = {},
): Promise<void> {
  await qmp.execute(command, args, options)
}

// ---- the machine

/** QEMU's RunState. */
const runState = z.enum([
  'debug',
  'inmigrate',
  'internal-error',
  'io-error',
  'paused',
  'postmigrate',
  'prelaunch',
  'finish-migrate',
  'restore-vm',
  'running',
  'save-vm',
  'shutdown',
  'suspended',
  'watchdog',
  'guest-panicked',
  'colo',
  'preconfig',
])

const status = z.object({ running: z.boolean(), status: runState })
export type VmStatus = z.infer<typeof status>

export const queryStatus = (qmp: QmpSession, options?: ExecuteOptions): Promise<VmStatus> =>
  ask(qmp, status, 'query-status', {}, options)

export const stop = (qmp: QmpSession): Promise<void> => tell(qmp, 'stop')
export const cont = (qmp: QmpSession): Promise<void> => tell(qmp, 'cont')
export const quit = (qmp: QmpSession): Promise<void> => tell(qmp, 'quit')
export const systemPowerdown = (qmp: QmpSession): Promise<void> => tell(qmp, 'system_powerdown')

const uuidAnswer = z.object({ UUID: z.string() })
export async function queryUuid(qmp: QmpSession): Promise<string> {
  return (await ask(qmp, uuidAnswer, 'query-uuid', {}, { timeoutMs: 3000 })).UUID
}

const chardevs = z.array(z.object({ label: z.string(), 'frontend-open': z.boolean() }))
/** The ends of ports, and whether the guest has its side open. */
export async function queryChardevs(qmp: QmpSession): Promise<{ label: string; isOpen: boolean }[]> {
  const found = await ask(qmp, chardevs, 'query-chardev', {}, { timeoutMs: 3000 })
  return found.map(({ label, 'frontend-open': isOpen }) => ({ label, isOpen }))
}

/** Writes a PNG of the screen to `path` (format since 7.1). */
export const screendump = (qmp: QmpSession, path: string): Promise<void> =>
  tell(qmp, 'screendump', { filename: path, format: 'png' })

/** The last bytes a guest wrote to its first serial port; at most `sizeBytes`, taken out of the buffer. */
export const ringbufRead = (qmp: QmpSession, device: string, sizeBytes: number): Promise<string> =>
  ask(qmp, z.string(), 'ringbuf-read', { device, size: sizeBytes, format: 'utf8' })

/** Tells switches and neighbours where the guest's MAC address now lives: `rounds` gratuitous ARPs. */
export const announceSelf = (qmp: QmpSession): Promise<void> =>
  tell(qmp, 'announce-self', { initial: 50, max: 550, rounds: 5, step: 100 })

// ---- what this QEMU can do

const machineInfo = z.object({ name: z.string(), alias: z.string().optional(), 'cpu-max': z.number() })
export const queryMachines = (qmp: QmpSession): Promise<z.infer<typeof machineInfo>[]> =>
  ask(qmp, z.array(machineInfo), 'query-machines')

const cpuDefinition = z.object({
  name: z.string(),
  'migration-safe': z.boolean().optional(),
  'unavailable-features': z.array(z.string()).optional(),
  'alias-of': z.string().optional(),
  deprecated: z.boolean().optional(),
})
export const queryCpuDefinitions = (qmp: QmpSession): Promise<z.infer<typeof cpuDefinition>[]> =>
  ask(qmp, z.array(cpuDefinition), 'query-cpu-definitions')

const cpuExpansion = z.object({
  model: z.object({ name: z.string(), props: z.record(z.string(), z.unknown()).optional() }),
})
/** A model spelled out: `static` gives each of QEMU's features by its one name (x86). */
export const queryCpuModelExpansion = (
  qmp: QmpSession,
  question: { type: 'static' | 'full'; model: { name: string } },
): Promise<z.infer<typeof cpuExpansion>> => ask(qmp, cpuExpansion, 'query-cpu-model-expansion', question)

const capabilityState = z.object({ capability: z.string(), state: z.boolean() })
export const queryMigrateCapabilities = (qmp: QmpSession): Promise<z.infer<typeof capabilityState>[]> =>
  ask(qmp, z.array(capabilityState), 'query-migrate-capabilities')

const commandLineOption = z.object({ option: z.string() })
export const queryCommandLineOptions = (qmp: QmpSession): Promise<{ option: string }[]> =>
  ask(qmp, z.array(commandLineOption), 'query-command-line-options')

const schemaEntry = z.object({
  name: z.string(),
  'meta-type': z.string(),
  values: z.array(z.string()).optional(),
})
export const queryQmpSchema = (qmp: QmpSession): Promise<z.infer<typeof schemaEntry>[]> =>
  ask(qmp, z.array(schemaEntry), 'query-qmp-schema')

// ---- blocks

export const blockdevAdd = (qmp: QmpSession, options: Readonly<Record<string, unknown>>): Promise<void> =>
  tell(qmp, 'blockdev-add', options, { timeoutMs: 30_000 })
export const blockdevDel = (qmp: QmpSession, nodeName: string): Promise<void> =>
  tell(qmp, 'blockdev-del', { 'node-name': nodeName })

export interface BlockdevMirrorArgs {
  jobId: string
  device: string
  target: string
  sync: 'top' | 'full' | 'none'
  copyMode: 'write-blocking' | 'background'
  speedBytesPerSecond?: number
}
export const blockdevMirror = (qmp: QmpSession, args: BlockdevMirrorArgs): Promise<void> =>
  tell(qmp, 'blockdev-mirror', {
    'job-id': args.jobId,
    device: args.device,
    target: args.target,
    sync: args.sync,
    'copy-mode': args.copyMode,
    ...(args.speedBytesPerSecond === undefined ? {} : { speed: args.speedBytesPerSecond }),
  })
export const blockJobCancel = (qmp: QmpSession, jobId: string, force: boolean): Promise<void> =>
  tell(qmp, 'block-job-cancel', { device: jobId, force })

/**
 * Starts to copy `topNode` down into `baseNode` while the guest writes on. The job waits before it makes `baseNode`
 * the disk (`jobFinalize`), and after that until it is dismissed, so that a later host finds how it ended.
 */
export const blockCommit = (
  qmp: QmpSession,
  args: { jobId: string; topNode: string; baseNode: string },
): Promise<void> =>
  tell(qmp, 'block-commit', {
    'job-id': args.jobId,
    device: args.topNode,
    'top-node': args.topNode,
    'base-node': args.baseNode,
    'auto-finalize': false,
    'auto-dismiss': false,
  })

/**
 * Starts to copy into `node` everything that is below it, while the guest writes on; then nothing is below it any more.
 * It stays on the list after its end until it is dismissed, so that a later host finds how it ended.
 */
export const blockStream = (qmp: QmpSession, args: { jobId: string; node: string }): Promise<void> =>
  tell(qmp, 'block-stream', { 'job-id': args.jobId, device: args.node, 'auto-dismiss': false })

/** QEMU's JobStatus; `unknown` for one that no QEMU up to 10 has. */
const jobStatus = z
  .enum([
    'undefined',
    'created',
    'running',
    'paused',
    'ready',
    'standby',
    'waiting',
    'pending',
    'aborting',
    'concluded',
    'null',
  ])
  .or(z.string().transform(() => 'unknown' as const))
const job = z.object({ id: z.string(), status: jobStatus, error: z.string().optional() })
export type Job = z.infer<typeof job>
/** Jobs of every kind, those that have ended and wait to be dismissed included. */
export const queryJobs = (qmp: QmpSession): Promise<Job[]> => ask(qmp, z.array(job), 'query-jobs')
export const jobComplete = (qmp: QmpSession, id: string): Promise<void> => tell(qmp, 'job-complete', { id })
export const jobFinalize = (qmp: QmpSession, id: string): Promise<void> => tell(qmp, 'job-finalize', { id })
export const jobDismiss = (qmp: QmpSession, id: string): Promise<void> => tell(qmp, 'job-dismiss', { id })

/** One of several changes that QEMU makes all at once or not at all. */
export interface TransactionAction {
  /** From now on writes to `node` go to `overlay`, an empty image without backing that was added before. */
  type: 'blockdev-snapshot'
  data: { node: string; overlay: string }
}
export const transaction = (qmp: QmpSession, actions: readonly TransactionAction[]): Promise<void> =>
  tell(qmp, 'transaction', { actions }, { timeoutMs: 30_000 })

const blockJob = z.object({
  type: z.string(),
  device: z.string(),
  len: z.number(),
  offset: z.number(),
  speed: z.number(),
  ready: z.boolean(),
  status: z.string(),
})
export type BlockJob = z.infer<typeof blockJob>
export const queryBlockJobs = (qmp: QmpSession): Promise<BlockJob[]> =>
  ask(qmp, z.array(blockJob), 'query-block-jobs')

const blockDevice = z.object({
  'io-status': z.enum(['ok', 'failed', 'nospace']).optional(),
  /** What the device reads and writes; missing for an empty drive. */
  inserted: z.object({ 'node-name': z.string().optional() }).optional(),
})
/** The disks as the guest has them; `io-status` tells of the error that stopped the guest, until it goes on. */
export const queryBlock = (qmp: QmpSession): Promise<z.infer<typeof blockDevice>[]> =>
  ask(qmp, z.array(blockDevice), 'query-block')

const blockNode = z.object({
  'node-name': z.string().optional(),
  file: z.string(),
  ro: z.boolean(),
  image: z.object({ 'virtual-size': z.number() }).optional(),
})
export const queryNamedBlockNodes = (qmp: QmpSession): Promise<z.infer<typeof blockNode>[]> =>
  ask(qmp, z.array(blockNode), 'query-named-block-nodes', { flat: true })

export const nbdServerStart = (qmp: QmpSession, socketPath: string): Promise<void> =>
  tell(qmp, 'nbd-server-start', { addr: { type: 'unix', data: { path: socketPath } } })
export const nbdServerStop = (qmp: QmpSession): Promise<void> => tell(qmp, 'nbd-server-stop')
export const blockExportAdd = (
  qmp: QmpSession,
  args: {
    id: string
    nodeName: string
    name: string
    writable: boolean
    /** Offers the NBD context `qemu:allocation-depth`: which layer of the chain has a piece of the disk. */
    allocationDepth?: boolean
  },
): Promise<void> =>
  tell(qmp, 'block-export-add', {
    type: 'nbd',
    id: args.id,
    'node-name': args.nodeName,
    name: args.name,
    writable: args.writable,
    ...(args.allocationDepth === undefined ? {} : { 'allocation-depth': args.allocationDepth }),
  })
export const blockExportDel = (qmp: QmpSession, id: string, mode: 'safe' | 'hard'): Promise<void> =>
  tell(qmp, 'block-export-del', { id, mode })
const blockExport = z.object({ id: z.string(), 'node-name': z.string(), 'shutting-down': z.boolean() })
export const queryBlockExports = (qmp: QmpSession): Promise<z.infer<typeof blockExport>[]> =>
  ask(qmp, z.array(blockExport), 'query-block-exports')

const cpuFast = z.object({ 'thread-id': z.number() })
/** A virtual processor each, with the thread of QEMU that runs it. */
export const queryCpusFast = (qmp: QmpSession): Promise<z.infer<typeof cpuFast>[]> =>
  ask(qmp, z.array(cpuFast), 'query-cpus-fast')

// ---- migration: see ../migration.ts for what the answers mean

export const migrate = (qmp: QmpSession, uri: string): Promise<void> => tell(qmp, 'migrate', { uri })
export const migrateIncoming = (qmp: QmpSession, uri: string): Promise<void> =>
  tell(qmp, 'migrate-incoming', { uri })
/** Goes on with a post-copy whose link broke, over a new socket on which the destination listens by `migrate-recover`. */
export const migrateResume = (qmp: QmpSession, uri: string): Promise<void> =>
  tell(qmp, 'migrate', { uri, resume: true })
/** Lets the guest go over to the destination before all of its memory, as soon as QEMU can. */
export const migrateStartPostcopy = (qmp: QmpSession): Promise<void> => tell(qmp, 'migrate-start-postcopy')
export const migrateCancel = (qmp: QmpSession): Promise<void> => tell(qmp, 'migrate_cancel')
export const migrateContinue = (qmp: QmpSession, state: string): Promise<void> =>
  tell(qmp, 'migrate-continue', { state })
export const migrateSetCapabilities = (
  qmp: QmpSession,
  capabilities: readonly { capability: string; state: boolean }[],
): Promise<void> => tell(qmp, 'migrate-set-capabilities', { capabilities })
export const migrateSetParameters = (
  qmp: QmpSession,
  parameters: Readonly<Record<string, unknown>>,
): Promise<void> => tell(qmp, 'migrate-set-parameters', parameters)

const migrateParameters = z.object({ 'max-bandwidth': z.number(), 'downtime-limit': z.number() })
/** In bytes per second (0 is no limit) and milliseconds. */
export const queryMigrateParameters = (qmp: QmpSession): Promise<z.infer<typeof migrateParameters>> =>
  ask(qmp, migrateParameters, 'query-migrate-parameters')

const ramInfo = z.object({
  transferred: z.number(),
  remaining: z.number(),
  total: z.number(),
  duplicate: z.number(),
  'dirty-pages-rate': z.number(),
  mbps: z.number(),
  'dirty-sync-count': z.number(),
  'page-size': z.number(),
})
const migrationInfo = z.object({
  status: z.string().optional(),
  ram: ramInfo.optional(),
  'total-time': z.number().optional(),
  'expected-downtime': z.number().optional(),
  downtime: z.number().optional(),
  'setup-time': z.number().optional(),
  'cpu-throttle-percentage': z.number().optional(),
  'error-desc': z.string().optional(),
})
export type MigrationInfo = z.infer<typeof migrationInfo>
export const queryMigrate = (qmp: QmpSession): Promise<MigrationInfo> =>
  ask(qmp, migrationInfo, 'query-migrate')
