/**
 * Makes a guest out of the demo image, an existing disk, an installation image, or a kernel. Promises that what
 * the person chose is only read, never changed; that the new guest has headroom to grow from its first day; and
 * that a creation that fails or is cancelled leaves nothing behind.
 */
import { createHash } from 'node:crypto'
import { readFile, rm, stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { z } from 'zod'
import { fail } from '../../../shared/errors/index.ts'
import type { GuestSource, NewGuest } from '../../../shared/models/guest.ts'
import {
  type GuestBoot,
  type GuestDefinition,
  gibibyteBytes,
} from '../../../shared/models/guest-definition.ts'
import { createEmpty, createOverlay, freeBytes, importImage, inspectImage } from '../../disk/image.ts'
import { backingFromGuest, newLayerId } from '../../disk/layers.ts'
import type { Random } from '../../platform/random.ts'
import type { RunningOperation } from '../operations.ts'
import type { GuestEnvironment } from './guest-environment.ts'
import type { LocalGuest } from './local-guest.ts'

const demoManifest = z.object({
  kernel: z.string(),
  initrd: z.string(),
  disk: z.string(),
  cmdline: z.string(),
})

export interface CreationContext {
  env: GuestEnvironment
  random: Random
  /** Where the demo guest was built, or null. */
  demoGuestDir: string | null
}

/** Cores and memory a guest can grow to on a bigger dock: fixed for its life, so generous. */
const maxCores = 16
const headroomBytes = 16 * gibibyteBytes

/** The definition of a guest that has no disk and boots from nothing yet. */
export async function newDefinition(
  context: CreationContext,
  id: string,
  wanted: NewGuest,
): Promise<GuestDefinition> {
  const { accelerator } = await context.env.machine.require()
  return {
    version: 1,
    id,
    name: wanted.name,
    machine: await context.env.machine.defaultMachineType(),
    cpuModel: await context.env.machine.defaultCpuModel(),
    accelerator: accelerator.kind,
    cores: wanted.cores,
    maxCores: Math.max(maxCores, wanted.cores),
    memoryBytes: wanted.memoryBytes,
    maxMemoryBytes: wanted.memoryBytes + headroomBytes,
    disks: [],
    boot: { kind: 'disk' },
    network: wanted.network,
    macAddress: randomMac(context.random),
    display: { kind: 'vnc' },
    witness: wanted.source.kind === 'demo',
    agent: true,
  }
}

/** Rejects what can be seen to be wrong before anything is made. @throws disk.*, guest.file_missing, host.bad_input */
export async function checkSource(context: CreationContext, wanted: NewGuest): Promise<void> {
  const { source } = wanted
  const paths = sourcePaths(source)
  if (paths.some((path) => !isAbsolute(path))) throw fail('host.bad_input', { why: 'a path is not absolute' })
  if (paths.some((path) => path.includes('\0')))
    throw fail('host.bad_input', { why: 'a path has a zero byte' })
  if (source.kind === 'demo') await demoFiles(context.demoGuestDir)
  if (source.kind === 'iso') await assertFile(source.path, wanted.name)
  if (source.kind === 'kernel') {
    await assertFile(source.kernelPath, wanted.name)
    if (source.initrdPath !== null) await assertFile(source.initrdPath, wanted.name)
  }
  const disk = source.kind === 'disk' ? source.path : source.kind === 'kernel' ? source.diskPath : null
  if (disk !== null) await assertDisk(context, disk)
}

/** Fills a new guest's folder: its disk and the files it boots from. */
export async function fillGuest(
  context: CreationContext,
  guest: LocalGuest,
  source: GuestSource,
  operation: RunningOperation,
): Promise<void> {
  switch (source.kind) {
    case 'demo': {
      const demo = await demoFiles(context.demoGuestDir)
      await takeKernel(context, guest, demo.kernel, demo.initrd, demo.commandLine, operation.signal)
      await takeDisk(context, guest, demo.disk, operation)
      return
    }
    case 'disk':
      await takeDisk(context, guest, source.path, operation)
      return
    case 'iso': {
      const imageFile = await context.env.bootFiles.add(source.path, guest.name, operation.signal)
      await setBoot(guest, { kind: 'iso', imageFile })
      await makeEmptyDisk(context, guest, source.diskBytes)
      return
    }
    case 'kernel': {
      const { kernelPath, initrdPath, commandLine, diskPath } = source
      await takeKernel(context, guest, kernelPath, initrdPath, commandLine, operation.signal)
      if (diskPath !== null) await takeDisk(context, guest, diskPath, operation)
      return
    }
  }
}

/** Whether the demo guest can be created on this PC. */
export async function demoAvailable(demoGuestDir: string | null): Promise<boolean> {
  return await demoFiles(demoGuestDir).then(
    () => true,
    () => false,
  )
}

async function demoFiles(folder: string | null): Promise<{
  kernel: string
  initrd: string
  disk: string
  commandLine: string
}> {
  if (folder === null) throw fail('guest.demo_image_missing')
  try {
    const manifest = demoManifest.parse(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')))
    return {
      kernel: join(folder, manifest.kernel),
      initrd: join(folder, manifest.initrd),
      disk: join(folder, manifest.disk),
      commandLine: manifest.cmdline,
    }
  } catch (error) {
    throw fail('guest.demo_image_missing', {}, { cause: error, detail: folder })
  }
}

async function takeKernel(
  context: CreationContext,
  guest: LocalGuest,
  kernelPath: string,
  initrdPath: string | null,
  commandLine: string,
  signal: AbortSignal,
): Promise<void> {
  const { bootFiles } = context.env
  const kernelFile = await bootFiles.add(kernelPath, guest.name, signal)
  const initrdFile = initrdPath === null ? null : await bootFiles.add(initrdPath, guest.name, signal)
  await setBoot(guest, { kind: 'kernel', kernelFile, initrdFile, commandLine })
}

async function setBoot(guest: LocalGuest, boot: GuestBoot): Promise<void> {
  await guest.changeRecord({ definition: { ...guest.definition, boot } })
}

/** The chosen image becomes an immutable layer; the guest writes into an empty layer above it. */
async function takeDisk(
  context: CreationContext,
  guest: LocalGuest,
  path: string,
  operation: RunningOperation,
): Promise<void> {
  const imported = join(guest.folder, 'import.qcow2')
  const sizeBytes = (await inspectImage(path)).allocatedBytes
  try {
    const image = await importImage(path, imported, {
      signal: operation.signal,
      onProgress: (fraction) => operation.update({ progress: importProgress(fraction, sizeBytes) }),
    })
    const layer = newLayerId(context.random)
    await context.env.layers.addFromFile(imported, layer)
    const top = newLayerId(context.random)
    const disk = { nodeName: 'disk0', layers: [layer], top, virtualSizeBytes: image.virtualSizeBytes }
    await createOverlay(join(guest.folder, `${top}.qcow2`), {
      backing: backingFromGuest(layer),
      virtualSizeBytes: image.virtualSizeBytes,
    })
    await guest.changeRecord({ definition: { ...guest.definition, disks: [disk] } })
  } finally {
    await rm(imported, { force: true })
  }
}

async function makeEmptyDisk(context: CreationContext, guest: LocalGuest, sizeBytes: number): Promise<void> {
  const top = newLayerId(context.random)
  const virtualSizeBytes = Math.ceil(sizeBytes / 512) * 512
  await createEmpty(join(guest.folder, `${top}.qcow2`), virtualSizeBytes)
  const disk = { nodeName: 'disk0', layers: [], top, virtualSizeBytes }
  await guest.changeRecord({ definition: { ...guest.definition, disks: [disk] } })
}

function importProgress(fraction: number, totalBytes: number): RunningOperation['view']['progress'] {
  return { doneBytes: Math.round(fraction * totalBytes), totalBytes, rateBytesPerS: 0, timeLeft: null }
}

async function assertFile(path: string, name: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (!found?.isFile()) throw fail('guest.file_missing', { path, name })
}

async function assertDisk(context: CreationContext, path: string): Promise<void> {
  const image = await inspectImage(path)
  if (image.backingFile !== null) throw fail('disk.backed_outside', { path, backing: image.backingFile })
  const free = await freeBytes(context.env.dataDir)
  if (image.allocatedBytes > free) {
    throw fail('disk.no_space', { needed: `${image.allocatedBytes} bytes`, free: `${free} bytes` })
  }
}

function sourcePaths(source: GuestSource): string[] {
  switch (source.kind) {
    case 'demo':
      return []
    case 'disk':
    case 'iso':
      return [source.path]
    case 'kernel':
      return [source.kernelPath, source.initrdPath, source.diskPath].filter((path) => path !== null)
  }
}

/** A locally administered address in QEMU's customary range. */
export function randomMac(random: Random): string {
  const tail = createHash('sha256').update(random.bytes(16)).digest().subarray(0, 3)
  return ['52', '54', '00', ...[...tail].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}
