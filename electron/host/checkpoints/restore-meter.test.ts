/** How much of a restored guest is here, in bytes of its checkpoint. */
import { expect, it } from 'vitest'
import { modelGuest } from '../docking/testing/fake-machine.ts'
import { RestoreMeter } from './restore-meter.ts'
import { HandClock } from './testing/checkpoint-dock.ts'
import { benchDockId, keptFacts } from './testing/restore-bench.ts'

const gibibyte = 1024 ** 3
const { definition } = modelGuest('5b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a10', benchDockId)
const facts = keptFacts(definition, {
  memoryDataBytes: gibibyte / 4,
  disks: [
    { nodeName: 'disk0', virtualSizeBytes: 100 * gibibyte, dataBytes: gibibyte },
    { nodeName: 'disk1', virtualSizeBytes: gibibyte, dataBytes: 0 },
  ],
})
const both = ['disk0', 'disk1']
const meterOf = (missing: readonly string[], hasMemory: boolean) =>
  new RestoreMeter(new HandClock(), facts, missing, hasMemory)

it('a large disk with little in it counts as that little', () => {
  const meter = meterOf(both, true)
  expect(meter.read()).toMatchObject({ doneBytes: 0, totalBytes: 1.25 * gibibyte })
  meter.disk('disk0', 0.5)
  meter.disk('disk1', 1)
  expect(meter.read()).toMatchObject({ doneBytes: gibibyte / 2, totalBytes: 1.25 * gibibyte })
})

it('memory counts as what of it is in the checkpoint, and all of it is here in the end', () => {
  const meter = meterOf(both, true)
  meter.memory({ doneBytes: 0, totalBytes: null })
  expect(meter.read().doneBytes).toBe(0)
  meter.memory({ doneBytes: gibibyte / 8, totalBytes: gibibyte / 4 })
  expect(meter.read().doneBytes).toBe(gibibyte / 8)
  meter.memoryDone()
  expect(meter.read().doneBytes).toBe(gibibyte / 4)
})

it('what is here already is not counted', () => {
  expect(meterOf(['disk0'], false).read()).toMatchObject({ doneBytes: 0, totalBytes: gibibyte })
  expect(meterOf([], false).read()).toMatchObject({ doneBytes: 0, totalBytes: 0 })
})

it('a disk that is begun again does not fall behind what was here', () => {
  const meter = meterOf(['disk0'], false)
  meter.disk('disk0', 0.75)
  meter.disk('disk0', 0.25)
  expect(meter.read().doneBytes).toBe(0.75 * gibibyte)
})
