/** What is in the way of a restore, said before anything is changed. */
import { describe, expect, it } from 'vitest'
import type { DockCapabilities } from '../../../shared/models/dock.ts'
import { testDefinition } from '../../qemu/test-guests.ts'
import type { CheckpointFacts } from '../../vault/service/vault-service.ts'
import { qemusWith, type RestoreRoom, whyItDoesNotFit } from './restore-fit.ts'
import { keptCheckpoint, keptFacts } from './testing/restore-bench.ts'

const disk = { nodeName: 'disk0', layers: [], top: `l${'0'.repeat(32)}`, virtualSizeBytes: 64 * 1024 ** 3 }
const guest = testDefinition({ disks: [disk] })

function room(changes: Partial<DockCapabilities> = {}, more: Partial<RestoreRoom> = {}): RestoreRoom {
  return {
    capabilities: {
      appVersion: '1',
      qemuVersion: '10.0.2',
      qemuProblem: null,
      postCopyProblem: null,
      machineTypes: ['pc-q35-10.0', 'pc-q35-7.2'],
      accelerator: { kind: 'tcg', sentence: 'Guests are emulated.' },
      cpuModels: [],
      cores: 2,
      memoryBytes: 8 * 1024 ** 3,
      memoryFreeBytes: 4 * 1024 ** 3,
      diskFreeBytes: 10 * 1024 ** 3,
      ...changes,
    },
    memoryRoomBytes: 4 * 1024 ** 3,
    missingCpuFeatures: [],
    ...more,
  }
}

function why(facts: Partial<CheckpointFacts>, here: RestoreRoom) {
  return whyItDoesNotFit(keptFacts(guest, facts), 'Web', here)
}

describe('a checkpoint', () => {
  it('fits where everything is there', () => {
    expect(why({}, room())).toBeNull()
  })

  it('names the QEMUs that still have its machine type', () => {
    const error = why({}, room({ machineTypes: ['pc-q35-10.0'] }))
    expect(error).toMatchObject({ code: 'restore.machine_type_gone', permanent: true })
    expect(error?.message).toContain('QEMU 10.0.2 on this PC does not have the machine type pc-q35-7.2')
    expect(error?.fix).toContain('QEMU 7.2 to 13.1')
    expect(qemusWith('pc-q35-8.0')).toEqual({ oldest: '8.0', newest: '13.2' })
  })

  it('of the processor itself does not go on where there is only emulation, and is told why there is', () => {
    const error = why({ accelerator: 'kvm' }, room())
    expect(error).toMatchObject({ code: 'restore.accelerator_differs' })
    expect(error?.fix).toContain('Guests are emulated.')
  })

  it('names what the processor lacks, of its own accelerator alone', () => {
    const lack = { kind: 'feature', name: 'avx2' } as const
    const missing = (accelerator: 'kvm' | 'tcg') => ({ missingCpuFeatures: [{ ...lack, accelerator }] })
    expect(why({}, room({}, missing('tcg')))).toMatchObject({ code: 'restore.cpu_lacks' })
    expect(why({}, room({}, missing('kvm')))).toBeNull()
  })

  it('needs its memory, and about what its disks have in them', () => {
    expect(why({}, room({}, { memoryRoomBytes: 1024 }))).toMatchObject({ code: 'restore.memory_short' })
    const checkpoint = keptCheckpoint(guest, { wholeBytes: 6 * 1024 ** 3 })
    expect(why({ checkpoint }, room())).toMatchObject({ code: 'restore.disk_short' })
  })

  it('without memory needs none, and any processor will do', () => {
    const here = room({}, { memoryRoomBytes: 0 })
    expect(why({ hasMemory: false, accelerator: 'kvm' }, here)).toBeNull()
  })
})
