/**
 * What a guest needs to be started: the QEMU of this PC, its disks and its boot files. Promises that a guest whose
 * machine, layers or boot files are not here is refused by name before a QEMU is started. Relies on the caller to
 * see to memory.
 */
import { join } from 'node:path'
import { fail } from '../../../shared/errors/index.ts'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import type { BootFiles, LaunchSpec, RemoteBacking } from '../../qemu/command-line.ts'
import type { GuestEnvironment } from './guest-environment.ts'

/** Where a guest is kept and where it runs. */
export interface GuestPlace {
  /** The folder with its record and top layers. */
  folder: string
  /** The folder with QEMU's sockets. */
  runDir: string
  /** Where what is missing of its disks comes from, by node name: while a guest is restored. */
  remotes?: ReadonlyMap<string, RemoteBacking>
}

export function topPath({ folder }: Pick<GuestPlace, 'folder'>, disk: { top: string }): string {
  return join(folder, `${disk.top}.qcow2`)
}

/**
 * @param incoming waits for its migration and keeps the accelerator it has
 * @throws qemu.missing, qemu.too_old, disk.layer_missing, guest.file_missing
 */
export async function launchSpec(
  env: Pick<GuestEnvironment, 'machine' | 'layers' | 'bootFiles'>,
  definition: GuestDefinition,
  place: GuestPlace,
  incoming: boolean,
): Promise<LaunchSpec> {
  const { qemu, accelerator } = await env.machine.require()
  return {
    definition,
    binary: qemu.binary,
    accelerator: incoming ? definition.accelerator : accelerator.kind,
    dir: place.runDir,
    disks: await launchDisks(env, definition, place),
    bootFiles: await launchBootFiles(env, definition),
    incoming,
    sandbox: qemu.hasSandbox,
  }
}

/**
 * A guest that boots anew may use what this PC has: its accelerator and the CPU model that goes with it.
 * @returns the very definition where nothing changes
 * @throws qemu.machine_type_gone
 */
export async function adaptedForColdStart(
  { machine }: Pick<GuestEnvironment, 'machine'>,
  definition: GuestDefinition,
): Promise<GuestDefinition> {
  const { accelerator, qemu } = await machine.require()
  if (!qemu.machineTypes.includes(definition.machine)) {
    throw fail('qemu.machine_type_gone', { machine: definition.machine })
  }
  const cpuModel = await machine.cpuModelForBoot(definition)
  if (definition.accelerator === accelerator.kind && definition.cpuModel === cpuModel) return definition
  return { ...definition, accelerator: accelerator.kind, cpuModel }
}

async function launchDisks(
  { layers }: Pick<GuestEnvironment, 'layers'>,
  { disks }: GuestDefinition,
  place: GuestPlace,
): Promise<LaunchSpec['disks']> {
  for (const layer of disks.flatMap((disk) => disk.layers)) {
    if (!(await layers.has(layer))) throw fail('disk.layer_missing', { layer })
  }
  return disks.map((disk) => ({
    nodeName: disk.nodeName,
    topPath: topPath(place, disk),
    layerPaths: disk.layers.map((layer) => layers.path(layer)),
    remote: place.remotes?.get(disk.nodeName) ?? null,
  }))
}

async function launchBootFiles(
  { bootFiles }: Pick<GuestEnvironment, 'bootFiles'>,
  { boot, name }: GuestDefinition,
): Promise<BootFiles> {
  const pathOf = async (id: string): Promise<string> => {
    const path = bootFiles.path(id)
    if ((await bootFiles.size(id)) === null) throw fail('guest.file_missing', { path, name })
    return path
  }
  if (boot.kind === 'disk') return { kind: 'disk' }
  if (boot.kind === 'iso') return { kind: 'iso', imagePath: await pathOf(boot.imageFile) }
  return {
    kind: 'kernel',
    kernelPath: await pathOf(boot.kernelFile),
    initrdPath: boot.initrdFile === null ? null : await pathOf(boot.initrdFile),
  }
}
