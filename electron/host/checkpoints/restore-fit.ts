/**
 * Whether a checkpoint can be restored on this PC. Pure; says the first thing that is in the way, before anything is
 * changed. What has no memory starts anew, and adapts itself to the processor it finds.
 */
import { fail, type WdockError } from '../../../shared/errors/index.ts'
import { formatBytes, formatList, formatMemory } from '../../../shared/format.ts'
import type { DockCapabilities } from '../../../shared/models/dock.ts'
import type { CheckpointFacts } from '../../vault/service/vault-service.ts'
import type { AcceleratorLack } from '../machine.ts'

/** What this PC has for it. */
export interface RestoreRoom {
  capabilities: DockCapabilities
  /** Memory for this guest, that of the one which it replaces included. */
  memoryRoomBytes: number
  /** What the accelerators of this PC lack of the guest's processor. */
  missingCpuFeatures: readonly AcceleratorLack[]
}

/** Room beyond what is fetched, because the guest writes meanwhile. */
const reservedDiskBytes = 256 * 1024 ** 2
/** What is stored is compressed, by half as a rule; disks that are mostly empty must not be counted whole. */
const usualExpansion = 2

/** @returns why it cannot be restored here; null when it can */
export function whyItDoesNotFit(facts: CheckpointFacts, name: string, here: RestoreRoom): WdockError | null {
  const { capabilities } = here
  if (capabilities.qemuVersion === null) return fail('qemu.missing')
  const { machine } = facts.guest
  if (!capabilities.machineTypes.includes(machine)) {
    const version = capabilities.qemuVersion
    return fail('restore.machine_type_gone', { name, machine, version, ...qemusWith(machine) })
  }
  return (facts.hasMemory ? cannotGoOn(facts, name, here) : null) ?? diskShort(facts, name, capabilities)
}

/**
 * The QEMUs that have a versioned machine type: from the release after which it is named to the last before it is
 * removed, six years later (QEMU's docs/about/deprecated.rst; three releases a year since 4.0).
 */
export function qemusWith(machine: string): { oldest: string; newest: string } {
  const oldest = machine.replace('pc-q35-', '')
  const [major = 0, minor = 0] = oldest.split('.').map(Number)
  const newest = minor === 0 ? `${major + 5}.2` : `${major + 6}.${minor - 1}`
  return { oldest, newest }
}

function cannotGoOn(facts: CheckpointFacts, name: string, here: RestoreRoom): WdockError | null {
  const { accelerator, guest } = facts
  const present = here.capabilities.accelerator
  if (accelerator === 'kvm' && present.kind !== 'kvm') {
    return fail('restore.accelerator_differs', { name, why: present.sentence })
  }
  const lacks = here.missingCpuFeatures.filter((lack) => lack.accelerator === accelerator)
  if (lacks.length > 0) {
    const features = lacks.map((lack) => lack.name)
    const detail = `${guest.cpuModel}, ${accelerator.toUpperCase()}: ${features.join(', ')}`
    return fail('restore.cpu_lacks', { name, features: formatList(features, 3) }, { detail })
  }
  if (guest.memoryBytes <= here.memoryRoomBytes) return null
  const needed = formatMemory(guest.memoryBytes)
  return fail('restore.memory_short', { name, needed, free: formatMemory(here.memoryRoomBytes) })
}

function diskShort(
  { checkpoint, disks }: CheckpointFacts,
  name: string,
  { diskFreeBytes }: DockCapabilities,
): WdockError | null {
  const virtualBytes = disks.reduce((sum, disk) => sum + disk.virtualSizeBytes, 0)
  const neededBytes = Math.min(virtualBytes, checkpoint.wholeBytes * usualExpansion) + reservedDiskBytes
  if (disks.length === 0 || neededBytes <= diskFreeBytes) return null
  return fail('restore.disk_short', {
    name,
    needed: formatBytes(neededBytes),
    free: formatBytes(diskFreeBytes),
  })
}
