/**
 * Which CPU a guest sees. Promises a named model that any dock can be asked for by the same name: `host` is not
 * migratable between different processors, and TCG's `max` differs between QEMU versions.
 */
import { readFile } from 'node:fs/promises'
import type { QemuInfo } from './capabilities.ts'
import { startForQuestions } from './capabilities.ts'
import { queryCpuDefinitions, quit } from './qmp/commands.ts'
import { QmpSession } from './qmp/session.ts'

/** The flags of the first processor, as Linux names them. */
export async function hostCpuFeatures(path = '/proc/cpuinfo'): Promise<string[]> {
  return parseCpuFlags(await readFile(path, 'utf8'))
}

export function parseCpuFlags(cpuinfo: string): string[] {
  const line = cpuinfo.split('\n').find((entry) => /^(flags|Features)\s*:/.test(entry))
  return line
    ? line
        .slice(line.indexOf(':') + 1)
        .trim()
        .split(/\s+/)
        .filter(Boolean)
    : []
}

/**
 * What every emulated guest gets: x86-64-v2 with AES. TCG of 7.2 and later offers all of it (no unavailable
 * feature in `query-cpu-definitions`), so that there is no warning, and its definition does not change.
 */
export const tcgCpuModel = 'Westmere'

/** Newest first. What is not in the list is never chosen by itself. */
const kvmPreference: readonly string[] = [
  'SapphireRapids',
  'EPYC-Genoa',
  'Cooperlake',
  'Icelake-Server-noTSX',
  'EPYC-Milan',
  'Cascadelake-Server-noTSX',
  'EPYC-Rome',
  'Skylake-Server-noTSX-IBRS',
  'Skylake-Client-noTSX-IBRS',
  'EPYC-IBPB',
  'EPYC',
  'Broadwell-noTSX-IBRS',
  'Broadwell-noTSX',
  'Haswell-noTSX-IBRS',
  'Haswell-noTSX',
  'IvyBridge-IBRS',
  'IvyBridge',
  'SandyBridge-IBRS',
  'SandyBridge',
  'Opteron_G4',
  'Westmere-IBRS',
  'Westmere',
  'Nehalem-IBRS',
  'Nehalem',
  'Penryn',
  'Opteron_G3',
  'Conroe',
  'qemu64',
]

/** The best model of `available`. Pure. */
export function pickCpuModel(available: readonly string[]): string {
  return kvmPreference.find((model) => available.includes(model)) ?? 'qemu64'
}

/**
 * The models that this PC offers whole under `accelerator`: what another dock's guest may ask for.
 * @throws qemu.start_failed when the accelerator cannot be used at all
 */
export async function availableCpuModels(qemu: QemuInfo, accelerator: 'kvm' | 'tcg'): Promise<string[]> {
  if (accelerator === 'tcg') return qemu.cpuModels
  const run = startForQuestions(qemu.binary, ['-accel', 'kvm'])
  try {
    const qmp = await QmpSession.over(run.streams, { timeoutMs: 10_000 })
    const definitions = await queryCpuDefinitions(qmp)
    await quit(qmp).catch(() => {})
    return definitions
      .filter((cpu) => cpu['migration-safe'] === true && cpu['unavailable-features']?.length === 0)
      .map((cpu) => cpu.name)
  } catch (error) {
    throw run.explain(error)
  } finally {
    await run.end()
  }
}

/** The model a new guest gets on this PC. */
export async function defaultCpuModel(qemu: QemuInfo, accelerator: 'kvm' | 'tcg'): Promise<string> {
  if (accelerator === 'tcg') return tcgCpuModel
  return pickCpuModel(await availableCpuModels(qemu, 'kvm'))
}
