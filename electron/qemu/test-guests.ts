/** For tests: definitions and launch specs of small emulated guests, and folders that clean up after them. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
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
