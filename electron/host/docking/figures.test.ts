/** What people read of a move before and while it is on: the estimate, progress, blockers. All of it is pure. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DockCapabilities } from '../../../shared/models/dock.ts'
import { machineLayoutVersion } from '../../qemu/command-line.ts'
import type { AcceleratorLack } from '../machine.ts'
import { type ArrivalFacts, findBlockers } from './arrival-check.ts'
import { estimateMigration } from './estimate.ts'
import type { GuestOffer } from './messages.ts'
import { maxSamples, ProgressTracker, timeLeft } from './progress.ts'
import { modelGuest } from './testing/fake-machine.ts'

const bytes = fc.nat(2 ** 40)

describe('an estimate', () => {
  it('is a range from nothing less than the least to the most, whatever the link', () => {
    const input = fc.record({
      touchedMemoryBytes: bytes,
      memoryBytes: bytes,
      crossing: fc.constantFrom('all' as const, 'lacking' as const, 'changed' as const),
      missingBytes: bytes,
      topBytes: bytes,
      linkBytesPerS: fc.option(fc.integer({ min: 1, max: 2 ** 34 })),
      linkRttMs: fc.nat(500),
    })
    fc.assert(
      fc.property(input, (each) => {
        const { time, freeze, bytes: range } = estimateMigration(each)
        expect(range.min).toBeLessThanOrEqual(range.max)
        expect(time.minMs).toBeLessThanOrEqual(time.maxMs)
        expect(freeze.minMs).toBeLessThanOrEqual(freeze.maxMs)
        expect(range.min).toBeGreaterThanOrEqual(each.missingBytes + each.topBytes)
        expect(range.max).toBeLessThanOrEqual(each.missingBytes + each.topBytes + each.memoryBytes)
      }),
    )
  })

  it('is narrower where the link was measured', () => {
    const sizes = {
      crossing: 'all' as const,
      touchedMemoryBytes: 1e8,
      memoryBytes: 5e8,
      missingBytes: 0,
      topBytes: 1e7,
      linkRttMs: 1,
    }
    const span = (linkBytesPerS: number | null) => {
      const { time } = estimateMigration({ ...sizes, linkBytesPerS })
      return time.maxMs - time.minMs
    }
    expect(span(12e6)).toBeLessThan(span(null))
  })
})

describe('an estimate over a slow link', () => {
  const sizes = { touchedMemoryBytes: 1e8, memoryBytes: 5e8, missingBytes: 0, topBytes: 0, linkRttMs: 5 }
  const estimate = (crossing: 'all' | 'lacking' | 'changed') =>
    estimateMigration({ ...sizes, crossing, linkBytesPerS: 9e6 })

  it('is a matter of seconds for a guest that comes back', () => {
    expect(estimate('changed').time.maxMs).toBeLessThan(5000)
    expect(estimate('all').time.minMs).toBeGreaterThan(5000)
  })

  it('is shorter for what the other side lacks than for all', () => {
    expect(estimate('lacking').bytes.max).toBeLessThan(estimate('all').bytes.max)
  })
})

describe('progress', () => {
  it('is never negative and keeps a chart of limited length in the order of time', () => {
    const reading = fc.record({ stepMs: fc.nat(2000), doneBytes: bytes, leftBytes: bytes, dirty: bytes })
    fc.assert(
      fc.property(fc.array(reading, { maxLength: 400 }), (readings) => {
        const tracker = new ProgressTracker(0)
        let atMs = 0
        for (const { stepMs, dirty, ...rest } of readings) {
          atMs += stepMs
          const progress = tracker.take({ atMs, ...rest, dirtyRateBytesPerS: dirty })
          expect(progress.rateBytesPerS).toBeGreaterThanOrEqual(0)
          expect(progress.totalBytes).toBe(rest.doneBytes + rest.leftBytes)
        }
        const times = tracker.samples.map((sample) => sample.atMs)
        expect(times.length).toBeLessThanOrEqual(maxSamples)
        expect(times).toEqual([...times].sort((a, b) => a - b))
      }),
      { numRuns: 50 },
    )
  })

  it('tells no time while nothing moves, and an end at most tenfold off for a guest that outruns the link', () => {
    expect(timeLeft(10, 0, 0)).toBeNull()
    expect(timeLeft(0, 0, 0)).toEqual({ minMs: 0, maxMs: 0 })
    expect(timeLeft(1000, 1000, 5000)).toEqual({ minMs: 1000, maxMs: 11_500 })
  })
})

const room = 2 ** 40

type Change = Partial<Omit<ArrivalFacts, 'capabilities'>> & { capabilities?: Partial<DockCapabilities> }

function facts(change: Change): ArrivalFacts {
  const capabilities: DockCapabilities = {
    appVersion: '1',
    qemuVersion: '7.2.0',
    qemuProblem: null,
    postCopyProblem: null,
    machineTypes: ['pc-q35-7.2'],
    accelerator: { kind: 'tcg', sentence: '' },
    cpuModels: [],
    cores: 1,
    memoryBytes: room,
    memoryFreeBytes: room,
    diskFreeBytes: room,
    ...change.capabilities,
  }
  const rest = {
    missingBytes: 0,
    memoryRoomBytes: room,
    missingCpuFeatures: [],
    suggestedCpuModel: 'Nehalem',
  }
  return { dockName: 'Tower', sameId: 'none', nameTaken: false, ...rest, ...change, capabilities }
}

function lacking(...features: string[]): AcceleratorLack[] {
  return features.map((name) => ({ accelerator: 'tcg', kind: 'feature', name }))
}

const { definition, homeDockId } = modelGuest(undefined, 'a'.repeat(52))
const offer: GuestOffer = {
  definition,
  homeDockId,
  createdAtMs: 0,
  bootedAtMs: 0,
  layers: [],
  bootFiles: [],
  topBytes: 1000,
  machineLayout: machineLayoutVersion,
}

describe('a blocker', () => {
  it.each<[string, Change]>([
    ['migration.qemu_missing_there', { capabilities: { qemuVersion: null } }],
    ['migration.machine_type_missing', { capabilities: { machineTypes: ['pc-q35-6.0'] } }],
    ['migration.cpu_feature_missing', { missingCpuFeatures: lacking('avx2') }],
    [
      'migration.cpu_model_unknown',
      { missingCpuFeatures: [{ accelerator: 'tcg', kind: 'model', name: 'Zen9' }] },
    ],
    ['migration.memory_short', { memoryRoomBytes: 1000 }],
    ['migration.disk_short', { capabilities: { diskFreeBytes: 1000 } }],
    ['migration.disk_short', { missingBytes: room }],
    ['migration.name_clash', { nameTaken: true }],
    ['migration.already_there', { sameId: 'present' }],
  ])('%s is found alone, with every word of its sentence filled in', (code, change) => {
    const found = findBlockers(offer, facts(change))
    expect(found.map((error) => error.code)).toEqual([code])
    for (const { message, fix } of found) expect(`${message} ${fix}`).not.toMatch(/[{}]|undefined|NaN/)
  })

  it('is there for a guest of another accelerator, which emulation cannot take over', () => {
    const kvm = { ...offer, definition: { ...definition, accelerator: 'kvm' as const } }
    expect(findBlockers(kvm, facts({})).map((error) => error.code)).toEqual(['migration.accelerator_differs'])
  })

  it('names three missing CPU features and counts the rest, all of them in the detail', () => {
    const missingCpuFeatures = lacking('avx2', 'sse4.2', 'bmi1', 'bmi2', 'movbe')
    const [found] = findBlockers(offer, facts({ missingCpuFeatures }))
    expect(found?.message).toContain('lacks: avx2, sse4.2, bmi1 and 2 more.')
    expect(found?.detail).toBe('qemu64, TCG: avx2, sse4.2, bmi1, bmi2, movbe')
  })

  it('is not there for CPU features that only another accelerator lacks', () => {
    const kvmLacks = lacking('avx2').map((lack) => ({ ...lack, accelerator: 'kvm' as const }))
    expect(findBlockers(offer, facts({ missingCpuFeatures: kvmLacks }))).toEqual([])
  })

  it('is there for a guest whose machine the other version builds in another way', () => {
    const found = findBlockers({ ...offer, machineLayout: machineLayoutVersion + 1 }, facts({}))
    expect(found.map((error) => error.code)).toEqual(['migration.layout_differs'])
  })

  it('is not there when nothing is short', () => {
    expect(findBlockers(offer, facts({}))).toEqual([])
  })
})
