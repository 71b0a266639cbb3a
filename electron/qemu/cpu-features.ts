/**
 * Which CPU a guest sees. Promises a named model that any dock can be asked for by the same name: `host` is not
 * migratable between different processors, and TCG's `max` differs between QEMU versions.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { readJson, writeJsonAtomic } from '../platform/atomic-file.ts'
import { bootId } from '../platform/processes.ts'
import { type QemuInfo, startForQuestions } from './capabilities.ts'
import { askCpuOffer, type CpuOffer, cpuOffer } from './cpu-offer.ts'
import { quit } from './qmp/commands.ts'
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

/**
 * The newest model that is whole on this PC (`here`) and on all docks of `elsewhere`; where they have none in
 * common, the newest here. Pure.
 */
export function pickCpuModel(
  here: readonly string[],
  elsewhere: readonly (readonly string[])[] = [],
): string {
  const whole = kvmPreference.filter((model) => here.includes(model))
  const common = whole.find((model) => elsewhere.every((models) => models.includes(model)))
  return common ?? whole[0] ?? 'qemu64'
}

const cacheFile = z.object({
  version: z.literal(1),
  bootId: z.string(),
  binary: z.string(),
  qemuVersion: z.string(),
  offer: cpuOffer,
})

/**
 * What the processor of this PC offers to guests under KVM. QEMU is started for it once after each boot and each
 * update of QEMU: between boots, microcode and settings of the firmware can change the answer.
 * @throws qemu.start_failed when KVM cannot be used at all
 */
export async function probeKvmCpu(qemu: QemuInfo, options: { cachePath: string }): Promise<CpuOffer> {
  const question = { bootId: bootId(), binary: qemu.binary, qemuVersion: qemu.version.text }
  const cached = await readJson(options.cachePath, cacheFile).catch(() => null)
  const same =
    cached?.bootId === question.bootId &&
    cached.binary === question.binary &&
    cached.qemuVersion === question.qemuVersion
  if (cached && same) return cached.offer
  const run = startForQuestions(qemu.binary, ['-accel', 'kvm'])
  try {
    const qmp = await QmpSession.over(run.streams, { timeoutMs: 10_000 })
    const offer = await askCpuOffer(qmp)
    await quit(qmp).catch(() => {})
    await writeJsonAtomic(options.cachePath, { version: 1, ...question, offer })
    return offer
  } catch (error) {
    throw run.explain(error)
  } finally {
    await run.end()
  }
}
