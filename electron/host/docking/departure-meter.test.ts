import { expect, it } from 'vitest'
import type { Operation } from '../../../shared/models/operation.ts'
import type { MigrationProgress } from '../../qemu/migration.ts'
import { HandClock } from '../checkpoints/testing/checkpoint-dock.ts'
import { RunningOperation } from '../operations.ts'
import { DepartureMeter } from './departure-meter.ts'

const work = {
  kind: 'migration',
  fromDockId: 'a'.repeat(52),
  toDockId: 'b'.repeat(52),
  phase: 'copying-memory',
  transfer: null,
  dirtyRateBytesPerS: 0,
  rounds: 0,
  throttlePercent: 0,
  samples: [],
  result: null,
} as unknown as Operation['work']

const ofQemu = (ramTransferredBytes: number, ramRemainingBytes: number) =>
  ({
    ramTransferredBytes,
    ramRemainingBytes,
    dirtySyncCount: 1,
    dirtyRateBytesPerSecond: 0,
    throttlePercent: 0,
  }) as MigrationProgress
const ofLink = (bytes: number) => ({
  sentBytes: bytes,
  ackedBytes: bytes,
  receivedBytes: 0,
  lastAckAtMs: null,
  rttMs: null,
})

it('bytes done never shrink when the codec steps aside in the middle', () => {
  const done: number[] = []
  const operation = new RunningOperation({ id: 'm', guestId: 'g', work } as Operation, ({ progress }) => {
    done.push(progress?.doneBytes ?? 0)
  })
  const meter = new DepartureMeter(new HandClock(), operation)
  meter.transfer('pages')
  meter.memoryProgress(ofQemu(300e6, 200e6), ofLink(20e6))
  meter.transfer('plain')
  meter.memoryProgress(ofQemu(320e6, 180e6), ofLink(40e6))
  expect(done.at(-1)).toBe(320e6)
  expect(done).toEqual(done.toSorted((a, b) => a - b))
  expect(operation.view.work).toMatchObject({ transfer: 'plain' })
})
