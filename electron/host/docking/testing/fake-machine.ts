/** A PC with room for everything, and a guest without disks that stands on it. */
import { randomUUID } from 'node:crypto'
import type { GuestMachine } from '../../guests/guest-environment.ts'
import type { GuestRecord } from '../../guests/guest-record.ts'
import { Memory } from '../../memory.ts'

const machineTypes = ['pc-q35-7.2']
const version = { major: 7, minor: 2, micro: 0, text: '7.2.0' }
const spaceBytes = 2 ** 40
const cpu = { models: [{ name: 'qemu64', lacks: [] }], features: [], lackedFeatures: [] }

export const fakeMachine = (): GuestMachine => ({
  require: async () => ({
    qemu: {
      binary: '/nowhere/qemu',
      version,
      machineTypes,
      latestMachine: 'pc-q35-7.2',
      emulatedCpu: cpu,
      migrationCapabilities: [],
      hasNetdevStream: true,
      hasSandbox: false,
    },
    accelerator: { kind: 'tcg', sentence: '' },
    cpu,
    postCopyProblem: null,
  }),
  memory: new Memory(async () => spaceBytes),
  defaultCpuModel: async () => 'qemu64',
  cpuModelForBoot: async ({ cpuModel }) => cpuModel,
  defaultMachineType: async () => 'pc-q35-7.2',
  missingCpuFeatures: async () => [],
  capabilities: async () => ({
    appVersion: 'model',
    qemuVersion: version.text,
    qemuProblem: null,
    postCopyProblem: null,
    machineTypes,
    accelerator: { kind: 'tcg', sentence: '' },
    cpuModels: ['qemu64'],
    cores: 2,
    memoryBytes: spaceBytes,
    memoryFreeBytes: spaceBytes,
    diskFreeBytes: spaceBytes,
  }),
})

export function modelGuest(id: string = randomUUID(), homeDockId: string): GuestRecord {
  const memoryBytes = 128 * 1024 ** 2
  const size = { cores: 1, maxCores: 1, memoryBytes, maxMemoryBytes: memoryBytes }
  const machine = { machine: 'pc-q35-7.2', cpuModel: 'qemu64', accelerator: 'tcg' } as const
  return {
    version: 1,
    definition: {
      version: 1,
      id,
      name: 'Model',
      ...machine,
      ...size,
      disks: [],
      boot: { kind: 'disk' },
      network: 'none',
      macAddress: '52:54:00:00:00:01',
      display: { kind: 'vnc' },
      witness: false,
    },
    homeDockId,
    createdAtMs: 0,
    bootedAtMs: null,
    complete: true,
    arrival: null,
  }
}
