/** For tests: definitions and launch specs of small emulated guests, and folders that clean up after them. */
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type GuestDefinition, guestDefinition, mebibyteBytes } from '../../shared/models/guest-definition.ts'
import { silentLog } from '../platform/log.ts'
import type { LaunchSpec } from './command-line.ts'
import { tcgCpuModel } from './cpu-features.ts'
import { launchQemu, type QemuProcess } from './process.ts'

export const demoGuestDir = fileURLToPath(new URL('../../.cache/demo-guest', import.meta.url))
export const hasDemoGuest = existsSync(join(demoGuestDir, 'manifest.json'))

const testGuestId = '5b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a10'

export function testDefinition(changes: Partial<GuestDefinition> = {}): GuestDefinition {
  return guestDefinition.parse({
    version: 1,
    id: testGuestId,
    name: 'Test guest',
    machine: 'pc-q35-7.2',
    cpuModel: tcgCpuModel,
    accelerator: 'tcg',
    cores: 1,
    maxCores: 4,
    memoryBytes: 128 * mebibyteBytes,
    maxMemoryBytes: 512 * mebibyteBytes,
    disks: [],
    boot: { kind: 'disk' },
    network: 'user',
    macAddress: '52:54:00:12:34:56',
    display: { kind: 'vnc' },
    witness: false,
    ...changes,
  })
}

export function testSpec(dir: string, changes: Partial<LaunchSpec> = {}): LaunchSpec {
  return {
    definition: testDefinition(),
    binary: 'qemu-system-x86_64',
    accelerator: 'tcg',
    dir,
    disks: [],
    bootFiles: { kind: 'disk' },
    incoming: false,
    sandbox: true,
    ...changes,
  }
}

const manifestShape = z.object({
  kernel: z.string(),
  initrd: z.string(),
  disk: z.string(),
  cmdline: z.string(),
  diskBytes: z.number(),
})

/** What the demo guest is made of, of which `hasDemoGuest` says that it is here. */
export function demoManifest(): z.infer<typeof manifestShape> {
  return manifestShape.parse(JSON.parse(readFileSync(join(demoGuestDir, 'manifest.json'), 'utf8')))
}

export interface DemoSpec extends Partial<Omit<LaunchSpec, 'definition' | 'disks' | 'bootFiles' | 'dir'>> {
  /** What differs from 192 MiB of memory and no network. */
  definition?: Partial<GuestDefinition>
  /** The layer that the guest writes to, above `layerPaths`; without one it has no disk. */
  disk?: { topPath: string; layerPaths: readonly string[] }
}

/** The demo guest with its witness. */
export function demoSpec(dir: string, { definition, disk, ...changes }: DemoSpec = {}): LaunchSpec {
  const { kernel, initrd, cmdline, diskBytes } = demoManifest()
  const chain = { nodeName: 'disk0', layers: [`l${'0'.repeat(32)}`], top: `l${'1'.repeat(32)}` }
  return testSpec(dir, {
    definition: testDefinition({
      memoryBytes: 192 * mebibyteBytes,
      maxMemoryBytes: 448 * mebibyteBytes,
      network: 'none',
      disks: disk === undefined ? [] : [{ ...chain, virtualSizeBytes: diskBytes }],
      boot: {
        kind: 'kernel',
        kernelFile: '0'.repeat(64),
        initrdFile: '1'.repeat(64),
        commandLine: cmdline,
      },
      witness: true,
      ...definition,
    }),
    disks: disk === undefined ? [] : [{ nodeName: 'disk0', ...disk }],
    bootFiles: {
      kind: 'kernel',
      kernelPath: join(demoGuestDir, kernel),
      initrdPath: join(demoGuestDir, initrd),
    },
    ...changes,
  })
}

/** A folder for one test and the QEMUs started in it; `end` kills them and removes it. */
export class QemuBench {
  readonly dir: string
  readonly #started: QemuProcess[] = []

  private constructor(dir: string) {
    this.dir = dir
  }

  static async make(): Promise<QemuBench> {
    return new QemuBench(await mkdtemp(join(tmpdir(), 'wdq-')))
  }

  async folder(name: string): Promise<string> {
    const path = join(this.dir, name)
    await mkdir(path, { recursive: true, mode: 0o700 })
    return path
  }

  async start(spec: LaunchSpec): Promise<QemuProcess> {
    return this.track(await launchQemu(spec, { log: silentLog }))
  }

  track(qemu: QemuProcess): QemuProcess {
    this.#started.push(qemu)
    return qemu
  }

  async end(): Promise<void> {
    await Promise.all(this.#started.map((qemu) => qemu.kill()))
    await rm(this.dir, { recursive: true, force: true })
  }
}
