/**
 * The destination's half of "Will it move?": given an offer and what this dock has, what blocks and what warns.
 * Pure; every answer is a coded error with a fix.
 */

import { fail, type WdockError } from '../../../shared/errors/index.ts'
import { formatBytes, formatList, formatMemory } from '../../../shared/format.ts'
import type { DockCapabilities } from '../../../shared/models/dock.ts'
import { machineLayoutVersion } from '../../qemu/command-line.ts'
import type { AcceleratorLack } from '../machine.ts'
import type { CheckAnswer, GuestOffer } from './messages.ts'

export interface ArrivalFacts {
  dockName: string
  capabilities: DockCapabilities
  /** A guest of the same id stands here, and what it does. */
  sameId: 'none' | 'present'
  nameTaken: boolean
  missingBytes: number
  /** Memory that this dock has for the guest. */
  memoryRoomBytes: number
  /** What the accelerators of this dock lack of the guest's processor. */
  missingCpuFeatures: readonly AcceleratorLack[]
  /** A model that this dock and those in sight have in common, to suggest. */
  suggestedCpuModel: string
}

/** Room beyond what is copied, because the guest goes on writing. */
const reservedDiskBytes = 256 * 1024 ** 2

export function findBlockers(offer: GuestOffer, facts: ArrivalFacts): WdockError[] {
  const { definition } = offer
  const { capabilities, dockName: dock } = facts
  const { name } = definition
  if (capabilities.qemuVersion === null) return [fail('migration.qemu_missing_there', { dock })]
  const blockers: WdockError[] = []
  if (offer.machineLayout !== machineLayoutVersion)
    blockers.push(fail('migration.layout_differs', { dock, name }))
  if (!capabilities.machineTypes.includes(definition.machine)) {
    blockers.push(
      fail('migration.machine_type_missing', {
        dock,
        name,
        version: capabilities.qemuVersion,
        machine: definition.machine,
        needed: definition.machine.replace('pc-q35-', ''),
      }),
    )
  }
  if (!acceleratorFits(definition.accelerator, capabilities)) {
    const theirs = capabilities.accelerator.kind.toUpperCase()
    const ours = definition.accelerator.toUpperCase()
    blockers.push(fail('migration.accelerator_differs', { dock, name, ours, theirs }))
  }
  return [
    ...blockers,
    ...findCpuLacks(offer, facts),
    ...findShortages(offer, facts),
    ...findClashes(offer, facts),
  ]
}

/** A guest under one accelerator cannot go on under the other: their CPUs differ. */
function acceleratorFits(wanted: 'kvm' | 'tcg', capabilities: DockCapabilities): boolean {
  return capabilities.accelerator.kind === wanted || wanted === 'tcg'
}

/** A running guest goes on under the accelerator it has: what another one lacks does not matter. */
function findCpuLacks({ definition }: GuestOffer, facts: ArrivalFacts): WdockError[] {
  const { accelerator, cpuModel, name } = definition
  const values = {
    name,
    dock: facts.dockName,
    version: facts.capabilities.qemuVersion ?? '',
    suggested: facts.suggestedCpuModel,
  }
  const lacks = facts.missingCpuFeatures.filter((lack) => lack.accelerator === accelerator)
  const unknown = lacks.find(({ kind }) => kind === 'model')
  if (unknown) return [fail('migration.cpu_model_unknown', { ...values, model: unknown.name })]
  if (lacks.length === 0) return []
  const features = lacks.map((lack) => lack.name)
  const detail = `${cpuModel}, ${accelerator.toUpperCase()}: ${features.join(', ')}`
  return [fail('migration.cpu_feature_missing', { ...values, features: formatList(features, 3) }, { detail })]
}

function findShortages(offer: GuestOffer, facts: ArrivalFacts): WdockError[] {
  const { definition } = offer
  const { capabilities, dockName: dock } = facts
  const shortages: WdockError[] = []
  if (definition.memoryBytes > facts.memoryRoomBytes) {
    shortages.push(
      fail('migration.memory_short', {
        dock,
        name: definition.name,
        needed: formatMemory(definition.memoryBytes),
        free: formatMemory(facts.memoryRoomBytes),
      }),
    )
  }
  const diskNeeded = facts.missingBytes + offer.topBytes + reservedDiskBytes
  if (diskNeeded > capabilities.diskFreeBytes) {
    shortages.push(
      fail('migration.disk_short', {
        dock,
        name: definition.name,
        needed: formatBytes(diskNeeded),
        free: formatBytes(capabilities.diskFreeBytes),
      }),
    )
  }
  return shortages
}

function findClashes(offer: GuestOffer, facts: ArrivalFacts): WdockError[] {
  const { name } = offer.definition
  const dock = facts.dockName
  if (facts.sameId === 'present') return [fail('migration.already_there', { dock, name })]
  return facts.nameTaken ? [fail('migration.name_clash', { dock, name })] : []
}

/** What `migration.blocked` says of the first blocker. */
export function blockedValues(
  to: { name: string },
  offer: GuestOffer,
  answer: CheckAnswer,
): Record<string, string> {
  const [first] = answer.blockers
  return { name: offer.definition.name, dock: to.name, why: first?.message ?? '', todo: first?.fix ?? '' }
}
