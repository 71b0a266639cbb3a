/**
 * A trial restore that nobody notices: a checkpoint is let run for a moment, without a network, on nothing but what it asks
 * for, so that the vault knows which pages a restore should fetch first. Promises that nothing of it is left
 * afterwards, and that what a host left which died meanwhile is cleared by `clearRehearsal`.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../../../shared/errors/index.ts'
import type { CheckpointId } from '../../../shared/models/checkpoint.ts'
import { createEmpty } from '../../disk/image.ts'
import { newLayerId } from '../../disk/layers.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Random } from '../../platform/random.ts'
import { killRecorded, launchQemu, removeRunFiles } from '../../qemu/process.ts'
import { cont } from '../../qemu/qmp/commands.ts'
import { socketPaths } from '../../qemu/sockets.ts'
import type { GuestEnvironment } from '../guests/guest-environment.ts'
import { launchSpec, topPath } from '../guests/guest-launch.ts'
import { restoredDefinition } from './restore-definition.ts'
import { chooseRoute, loadMemory } from './restore-memory.ts'
import { RestoreSource, type RestoreVault } from './restore-source.ts'

export interface RehearsalParts {
  desk: RestoreVault
  environment: Pick<GuestEnvironment, 'machine' | 'layers' | 'bootFiles'>
  paths: Pick<Paths, 'data' | 'runtime'>
  clock: Clock
  random: Random
  log: Log
}

/** Why a checkpoint was not rehearsed, where that is no failure. */
export type Unrehearsed = 'no-memory' | 'no-room' | 'no-post-copy'

/**
 * Takes a few seconds. @returns null when it was recorded
 * @throws vault.*, store.*, qemu.*, host.cancelled
 */
export async function rehearse(
  parts: RehearsalParts,
  checkpointId: CheckpointId,
  signal: AbortSignal,
): Promise<Unrehearsed | null> {
  const { desk, random, environment } = parts
  const source = await RestoreSource.begin(desk, random.hex(16), { checkpointId })
  try {
    signal.throwIfAborted()
    const { facts } = source
    if (!facts.hasMemory) return 'no-memory'
    const { memory } = environment.machine
    // It touches little of it, but nobody knows how little.
    if ((await memory.roomFor(facts.guest.id)) < facts.guest.memoryBytes) return 'no-room'
    return await letRun(parts, source, signal)
  } finally {
    await source.end()
    await clearRehearsal(parts.paths)
  }
}

/** Ends and removes what is left of a rehearsal. */
export async function clearRehearsal(paths: Pick<Paths, 'data' | 'runtime'>): Promise<void> {
  const { folder, runDir } = placeOf(paths)
  await killRecorded(socketPaths(runDir).runFile)
  await removeRunFiles(runDir).catch(() => {})
  for (const path of [runDir, folder]) await rm(path, { recursive: true, force: true })
}

function placeOf({ data, runtime }: Pick<Paths, 'data' | 'runtime'>) {
  return { folder: join(data, 'rehearsal'), runDir: join(runtime, 'rehearsal') }
}

async function letRun(
  { environment, paths, clock, random, log }: RehearsalParts,
  source: RestoreSource,
  signal: AbortSignal,
): Promise<Unrehearsed | null> {
  const { guest } = source.facts
  const place = placeOf(paths)
  for (const path of [place.folder, place.runDir]) await mkdir(path, { recursive: true, mode: 0o700 })
  const { name, macAddress } = guest
  const definition = restoredDefinition(guest, { id: random.uuid(), name, macAddress }, newLayerId)
  for (const disk of definition.disks) await createEmpty(topPath(place, disk), disk.virtualSizeBytes)
  const nodeNames = definition.disks.map(({ nodeName }) => nodeName)
  const remotes = await source.serve(nodeNames, place.runDir)
  const spec = await launchSpec(environment, definition, { ...place, remotes }, true)
  signal.throwIfAborted()
  const process = await launchQemu({ ...spec, isolated: true }, { log })
  try {
    const route = await chooseRoute(process.qmp)
    if (route.how !== 'post-copy') return 'no-post-copy'
    await loadMemory(process, source, 'rehearsal', { signal, clock })
    await cont(process.qmp)
    const error = await Promise.race([source.memoryDone, aborted(signal)])
    if (error !== null) throw error
    return null
  } finally {
    // It is in the middle of a migration that never ends: it would not end in order.
    await process.kill()
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason ?? fail('host.cancelled'))
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  promise.catch(() => {})
  return promise
}
