/**
 * QEMU's command line, derived from a guest's definition and this PC's paths. Pure. Promises that the same
 * definition gives the same machine on every dock (what a dock may choose — paths, sockets, the accelerator —
 * is not part of the migrated state), and that no name or path can smuggle in an option: values go through
 * JSON, or with their commas doubled (QemuOpts' own escape).
 */
import { fail } from '../../shared/errors/index.ts'
import { type GuestDefinition, mebibyteBytes } from '../../shared/models/guest-definition.ts'
import { agentChardev } from './agent/agent.ts'
import { socketPaths } from './sockets.ts'

/** What is still to come of a disk, served over NBD on a unix socket of this PC. */
export interface RemoteBacking {
  socketPath: string
  exportName: string
}

/** One disk of the guest with its files on this PC. */
export interface LaunchDisk {
  nodeName: string
  /** The layer that is written to. */
  topPath: string
  /** Immutable layers, bottom first. */
  layerPaths: readonly string[]
  /** Below all layers; null where everything is here. */
  remote?: RemoteBacking | null
}

/** Where the files of `definition.boot` are on this PC, absolute; the same kind as there. */
export type BootFiles =
  | { kind: 'disk' }
  | { kind: 'iso'; imagePath: string }
  | { kind: 'kernel'; kernelPath: string; initrdPath: string | null }

/** A core that was added while the guest ran, as `query-hotpluggable-cpus` describes it. */
export interface PluggedCore {
  /** The QOM type, as `Westmere-x86_64-cpu`. */
  type: string
  id: string
  props: Readonly<Record<string, number>>
}

export interface LaunchSpec {
  definition: GuestDefinition
  /** The QEMU program. */
  binary: string
  /** The accelerator of this start; differs from the definition's only where a person cold-starts elsewhere. */
  accelerator: 'kvm' | 'tcg'
  /** An existing 0700 folder for this process: sockets, run.json, qemu.log. Short: see sockets.ts. */
  dir: string
  disks: readonly LaunchDisk[]
  bootFiles: BootFiles
  /** Wait for a migration (`-S -incoming defer`) instead of booting. */
  incoming: boolean
  /** It runs before all of its memory is here, and needs a door for what it is told then. Default false. */
  lateMemory?: boolean
  /** Cores beyond `definition.cores` that the migrated guest already has. */
  pluggedCores?: readonly PluggedCore[]
  /** Whether this QEMU was built with seccomp: `QemuInfo.hasSandbox`. */
  sandbox: boolean
  /** Leads nowhere with the guest's network card: for a trial that nobody may notice. Default false. */
  isolated?: boolean
}

/**
 * Grows with every change that a migrated guest would notice: devices, their order, their options. Two docks
 * can exchange a running guest only when both have the same.
 */
export const machineLayoutVersion = 2

export const serialLogChardev = 'serial0'
export const serialLogBytes = 64 * 1024

/** virtio-mem grows in steps of its block size; Linux can only use whole sections of 128 MiB. */
const growthStepBytes = 128 * mebibyteBytes

/** @throws host.bad_input when definition and spec do not belong together */
export function buildCommandLine(spec: LaunchSpec): string[] {
  checkSpec(spec)
  return [
    ...machineArgs(spec),
    ...memoryArgs(spec),
    ...deviceArgs(),
    ...diskArgs(spec),
    ...networkArgs(spec),
    ...agentArgs(spec),
    ...bootArgs(spec),
    ...consoleArgs(spec),
    ...(spec.pluggedCores ?? []).flatMap(pluggedCoreArgs),
    ...(spec.lateMemory === true ? doorArgs(socketPaths(spec.dir)) : []),
    ...(spec.incoming ? ['-incoming', 'defer'] : []),
    ...(spec.sandbox
      ? ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']
      : []),
  ]
}

/** A value inside a comma-separated QEMU option: commas are doubled (QemuOpts, include/qemu/option.h). */
export function optionValue(value: string): string {
  if (value.includes('\0')) throw fail('host.bad_input', { why: 'a value holds a zero byte' })
  return value.replaceAll(',', ',,')
}

/** The size of the virtio-mem device: all of the headroom that can be used; 0 when there is none. */
export function growableBytes(definition: GuestDefinition): number {
  const headroomBytes = definition.maxMemoryBytes - definition.memoryBytes
  return Math.floor(headroomBytes / growthStepBytes) * growthStepBytes
}

function checkSpec(spec: LaunchSpec): void {
  const wanted = spec.definition.disks.map((disk) => disk.nodeName).join(' ')
  const given = spec.disks.map((disk) => disk.nodeName).join(' ')
  if (wanted !== given) throw fail('host.bad_input', { why: `disks ${given} instead of ${wanted}` })
  if (spec.definition.boot.kind !== spec.bootFiles.kind) {
    throw fail('host.bad_input', { why: 'boot files and kind of boot do not agree' })
  }
}

function machineArgs({ definition, accelerator, dir }: LaunchSpec): string[] {
  const { maxCores } = definition
  return [
    '-name',
    `guest=${optionValue(definition.name)},debug-threads=on`,
    '-uuid',
    definition.id,
    '-no-user-config',
    '-nodefaults',
    '-machine',
    `${definition.machine},accel=${accelerator},usb=off,memory-backend=ram0`,
    '-cpu',
    definition.cpuModel,
    '-smp',
    `cpus=${definition.cores},sockets=1,dies=1,cores=${maxCores},threads=1,maxcpus=${maxCores}`,
    '-rtc',
    'base=utc,clock=host',
    '-global',
    'ICH9-LPC.disable_s3=1',
    '-global',
    'ICH9-LPC.disable_s4=1',
    '-msg',
    'timestamp=on',
    '-pidfile',
    socketPaths(dir).pidFile,
    // Always: the caller lets it run once it is known and recorded.
    '-S',
  ]
}

/**
 * What an emulated guest gets less than it asked for. QEMU before 9.0, collecting dirty pages of a block whose
 * length is a multiple of 64 pages, forgets to tell the emulated processor, whose later writes are then missed:
 * the guest's memory is corrupt after a migration (fixed by commit 03bfc2188f, "physmem: Fix migration dirty bitmap
 * coherency with TCG memory access"). Other lengths are collected page by page, which is right. `-m` is
 * rounded to 8 KiB. Independent of the version, because both docks must have the same machine.
 */
const emulatedShortfallBytes = 8192

function bootMemoryBytes({ definition, accelerator }: LaunchSpec): number {
  return accelerator === 'tcg' ? definition.memoryBytes - emulatedShortfallBytes : definition.memoryBytes
}

function memoryArgs(spec: LaunchSpec): string[] {
  const growable = growableBytes(spec.definition)
  const sizeBytes = bootMemoryBytes(spec)
  const ram = { 'qom-type': 'memory-backend-ram', id: 'ram0', size: sizeBytes }
  if (growable === 0) return ['-object', JSON.stringify(ram), '-m', `size=${kibibytes(sizeBytes)}`]
  const growth = { 'qom-type': 'memory-backend-ram', id: 'growth0', size: growable, reserve: false }
  // The block size otherwise follows the host's huge pages and would differ between docks.
  const device = {
    driver: 'virtio-mem-pci',
    id: 'memory0',
    memdev: 'growth0',
    'requested-size': 0,
    'block-size': 2 * mebibyteBytes,
  }
  return [
    '-object',
    JSON.stringify(ram),
    '-m',
    `size=${kibibytes(sizeBytes)},slots=4,maxmem=${kibibytes(sizeBytes + growable)}`,
    '-object',
    JSON.stringify(growth),
    '-device',
    JSON.stringify(device),
  ]
}

function kibibytes(bytes: number): string {
  return `${bytes / 1024}K`
}

/** A tablet reports absolute positions, so that the pointer in a browser and in the guest are one. */
function deviceArgs(): string[] {
  return [
    ['-device', { driver: 'VGA', id: 'video0', vgamem_mb: 16 }],
    ['-device', { driver: 'qemu-xhci', id: 'usb0' }],
    ['-device', { driver: 'usb-tablet', id: 'tablet0', bus: 'usb0.0' }],
    ['-object', { 'qom-type': 'rng-builtin', id: 'rng0' }],
    ['-device', { driver: 'virtio-rng-pci', id: 'random0', rng: 'rng0' }],
    // free-page-reporting during a migration is feared to corrupt memory: off, and said so.
    ['-device', { driver: 'virtio-balloon-pci', id: 'balloon0', 'free-page-reporting': false }],
  ].flatMap(([option, value]) => [String(option), JSON.stringify(value)])
}

/** Place 0 in the boot order belongs to an ISO or to the loader of a kernel. */
function diskArgs({ disks }: LaunchSpec): string[] {
  return disks.flatMap((disk, index) => [
    '-blockdev',
    JSON.stringify(blockChain(disk)),
    '-device',
    JSON.stringify({
      driver: 'virtio-blk-pci',
      id: `${disk.nodeName}-device`,
      drive: disk.nodeName,
      bootindex: 1 + index,
    }),
  ])
}

/**
 * The whole chain is given explicitly, so that the backing names inside the files, which a peer wrote, are
 * never followed.
 */
function blockChain(disk: LaunchDisk): Record<string, unknown> {
  let below = remoteNode(disk)
  for (const [index, path] of disk.layerPaths.entries()) {
    below = {
      driver: 'qcow2',
      'node-name': `${disk.nodeName}-layer${index}`,
      'read-only': true,
      discard: 'unmap',
      file: {
        driver: 'file',
        'node-name': `${disk.nodeName}-layer${index}-file`,
        filename: path,
        'read-only': true,
      },
      backing: below,
    }
  }
  return {
    driver: 'qcow2',
    'node-name': disk.nodeName,
    'read-only': false,
    discard: 'unmap',
    'detect-zeroes': 'unmap',
    file: {
      driver: 'file',
      'node-name': `${disk.nodeName}-file`,
      filename: disk.topPath,
      discard: 'unmap',
      'read-only': false,
    },
    backing: below,
  }
}

/**
 * For how long QEMU waits for a server that is gone, in seconds, before reads of the guest fail: the host may be
 * started again only after days. QEMU's own limit is 136 years.
 */
const reconnectDelayS = 30 * 24 * 3600

/** The node of a disk that is still to come, below its layers. */
export function remoteNodeName(nodeName: string): string {
  return `${nodeName}-remote`
}

function remoteNode({ nodeName, remote = null }: LaunchDisk): Record<string, unknown> | null {
  if (remote === null) return null
  return {
    driver: 'nbd',
    'node-name': remoteNodeName(nodeName),
    'read-only': true,
    server: { type: 'unix', path: remote.socketPath },
    export: remote.exportName,
    'reconnect-delay': reconnectDelayS,
  }
}

/** No option ROM: its size would have to agree on every dock. A guest boots from disk, ISO or kernel. */
function networkArgs({ definition, isolated = false }: LaunchSpec): string[] {
  if (definition.network === 'none') return []
  // The same network, since its state is in what the guest is loaded from; it leads nowhere (QEMU's `restrict`).
  const netdev = { type: 'user', id: 'net0', ...(isolated ? { restrict: true } : {}) }
  return [
    '-netdev',
    JSON.stringify(netdev),
    '-device',
    JSON.stringify({
      driver: 'virtio-net-pci',
      id: 'nic0',
      netdev: 'net0',
      mac: definition.macAddress,
      romfile: '',
    }),
  ]
}

/** Behind all other devices, so that these are where they were in guests without it. */
function agentArgs({ definition, dir }: LaunchSpec): string[] {
  if (!definition.agent) return []
  const port = {
    driver: 'virtserialport',
    id: 'agent0',
    bus: 'ports0.0',
    chardev: agentChardev,
    // By this name the agent finds it (qemu-ga's default).
    name: 'org.qemu.guest_agent.0',
  }
  return [
    '-chardev',
    `socket,id=${agentChardev},path=${optionValue(socketPaths(dir).agent)},server=on,wait=off`,
    '-device',
    JSON.stringify({ driver: 'virtio-serial-pci', id: 'ports0', max_ports: 2 }),
    '-device',
    JSON.stringify(port),
  ]
}

function bootArgs({ definition, bootFiles }: LaunchSpec): string[] {
  const { boot } = definition
  if (bootFiles.kind === 'iso') {
    const medium = {
      driver: 'raw',
      'node-name': 'iso0',
      'read-only': true,
      file: { driver: 'file', 'node-name': 'iso0-file', filename: bootFiles.imagePath, 'read-only': true },
    }
    const drive = { driver: 'ide-cd', id: 'cd0', bus: 'ide.0', drive: 'iso0', bootindex: 0 }
    return ['-blockdev', JSON.stringify(medium), '-device', JSON.stringify(drive)]
  }
  if (bootFiles.kind === 'kernel' && boot.kind === 'kernel') {
    const { kernelPath, initrdPath } = bootFiles
    // These three are taken as they are: for a Linux kernel QEMU splits none of them at commas.
    return [
      '-kernel',
      kernelPath,
      ...(initrdPath === null ? [] : ['-initrd', initrdPath]),
      '-append',
      boot.commandLine,
    ]
  }
  return []
}

/** The first serial port goes to a ring in memory: a guest cannot fill this PC's disk with it. */
function consoleArgs({ definition, dir }: LaunchSpec): string[] {
  const sockets = socketPaths(dir)
  const witness = definition.witness
    ? [
        '-chardev',
        `socket,id=witness,path=${optionValue(sockets.witness)},server=on,wait=off`,
        '-serial',
        'chardev:witness',
      ]
    : []
  return [
    '-display',
    'none',
    '-vnc',
    `unix:${optionValue(sockets.vnc)},share=force-shared`,
    '-chardev',
    `ringbuf,id=${serialLogChardev},size=${serialLogBytes}`,
    '-serial',
    `chardev:${serialLogChardev}`,
    ...witness,
    '-chardev',
    `socket,id=qmp,path=${optionValue(sockets.qmp)},server=on,wait=off`,
    '-mon',
    'chardev=qmp,mode=control',
  ]
}

/** QEMU adds `.in` and `.out`. */
function doorArgs({ doorIn }: { doorIn: string }): string[] {
  const path = doorIn.slice(0, -'.in'.length)
  return ['-chardev', `pipe,id=door,path=${optionValue(path)}`, '-mon', 'chardev=door,mode=control']
}

function pluggedCoreArgs(core: PluggedCore): string[] {
  return ['-device', JSON.stringify({ driver: core.type, id: core.id, ...core.props })]
}
