/**
 * Which processors an accelerator of this PC can give to guests, and what it lacks of one that is asked for.
 * Promises QEMU's own names of models and features, so that what is missing can be looked up. Relies on QEMU to
 * answer for the accelerator it was started with: KVM tells what the processor has, TCG what it can emulate.
 */
import { z } from 'zod'
import { queryCpuDefinitions, queryCpuModelExpansion } from './qmp/commands.ts'
import type { QmpSession } from './qmp/session.ts'

export const cpuOffer = z.object({
  /** The models whose definition never changes under a machine type, each with its features that are lacking. */
  models: z.array(z.object({ name: z.string(), lacks: z.array(z.string()) })),
  /** Single features that can be added to a model. */
  features: z.array(z.string()),
  /** Features that this QEMU knows and this accelerator does not have. */
  lackedFeatures: z.array(z.string()),
})
export type CpuOffer = z.infer<typeof cpuOffer>

/** One reason why a guest's processor cannot be had: the model is not known, or a feature of it is lacking. */
export interface CpuLack {
  kind: 'model' | 'feature'
  name: string
}

/** Asks a QEMU, whose machine may be `none`. */
export async function askCpuOffer(qmp: QmpSession): Promise<CpuOffer> {
  const [definitions, most] = await Promise.all([
    queryCpuDefinitions(qmp),
    // The static expansion names features only, each once; `max` is all that the accelerator has.
    queryCpuModelExpansion(qmp, { type: 'static', model: { name: 'max' } }),
  ])
  const named = (offered: boolean): string[] =>
    Object.entries(most.model.props ?? {}).flatMap(([name, value]) => (value === offered ? [name] : []))
  return {
    models: definitions.flatMap((cpu) => {
      const lacks = cpu['unavailable-features']
      return cpu['migration-safe'] === true && lacks ? [{ name: cpu.name, lacks }] : []
    }),
    features: named(true),
    lackedFeatures: named(false),
  }
}

/** The models that are offered with all their features. */
export function wholeModels(offer: CpuOffer): string[] {
  return offer.models.filter(({ lacks }) => lacks.length === 0).map(({ name }) => name)
}

/** What `offer` lacks of a model with its flags, as `Nehalem,-vme,+avx2`; empty when it lacks nothing. */
export function lacksOf(offer: CpuOffer, cpuModel: string): CpuLack[] {
  const [name = cpuModel, ...flags] = cpuModel.split(',')
  const model = offer.models.find((each) => each.name === name)
  if (model === undefined) return [{ kind: 'model', name }]
  const known = new Map(
    [...offer.features, ...offer.lackedFeatures, ...model.lacks].map((feature) => [plain(feature), feature]),
  )
  const lacks = new Set(model.lacks)
  for (const flag of flags) {
    const { option, on } = readFlag(flag)
    const feature = known.get(plain(option))
    // Other options of a CPU, as its vendor, need nothing of the processor.
    if (feature === undefined) continue
    if (!on) lacks.delete(feature)
    else if (!offer.features.includes(feature)) lacks.add(feature)
  }
  return [...lacks].map((feature) => ({ kind: 'feature', name: feature }))
}

/** `sse4.1`, `sse4_1` and `sse4-1` are one feature to QEMU. */
function plain(feature: string): string {
  return feature.replaceAll(/[._]/g, '-')
}

/** `+avx2`, `avx2`, `avx2=on`, and their opposites. */
function readFlag(flag: string): { option: string; on: boolean } {
  const [option = '', value = 'on'] = flag.replace(/^[+-]/, '').split('=')
  return { option, on: !flag.startsWith('-') && ['on', 'yes', 'true', 'y'].includes(value) }
}
