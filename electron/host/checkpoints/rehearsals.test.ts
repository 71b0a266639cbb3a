/** When checkpoints are rehearsed, and what they make room for. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Operation } from '../../../shared/models/operation.ts'
import { silentLog } from '../../platform/log.ts'
import type { PowerState } from './power.ts'
import { Rehearsals, type RehearsalsParts } from './rehearsals.ts'
import type { Unrehearsed } from './rehearse.ts'
import { HandClock, settle } from './testing/checkpoint-dock.ts'

type Heard = Parameters<Parameters<RehearsalsParts['desk']['onEvent']>[0]>[0]
type Work = { checkpointId: string; signal: AbortSignal } & PromiseWithResolvers<Unrehearsed | null>

let clock: HandClock
let power: PowerState
let operations: Operation[]
let works: Work[]
let cleared: number
let tell: (event: Heard) => void
let rehearsals: Rehearsals

function published(id: string, guestId = 'g'): void {
  tell({ type: 'upload.published', checkpoint: { id, guestId } } as Heard)
}

const running = { id: 'o', state: { kind: 'running', cancellable: true } } as Operation

beforeEach(() => {
  clock = new HandClock()
  power = { onBattery: false, percent: null }
  operations = []
  works = []
  cleared = 0
  rehearsals = new Rehearsals({
    desk: {
      state: { kind: 'ready' } as RehearsalsParts['desk']['state'],
      onEvent: (listener) => {
        tell = listener
        return () => {}
      },
    },
    store: {
      get state() {
        return { operations } as RehearsalsParts['store']['state']
      },
    },
    rehearse: (checkpointId, signal) => {
      const work = { checkpointId, signal, ...Promise.withResolvers<Unrehearsed | null>() }
      signal.addEventListener('abort', () => work.reject(signal.reason))
      works.push(work)
      return work.promise
    },
    clear: async () => {
      cleared += 1
    },
    readPower: async () => power,
    clock,
    log: silentLog,
  })
  rehearsals.start()
})
afterEach(async () => await rehearsals.close())

describe('a checkpoint that has arrived in the vault', () => {
  it('is rehearsed once, after what an earlier host left was cleared', async () => {
    await settle()
    expect(cleared).toBe(1)
    published('one')
    await clock.pass(3000)
    expect(works.map(({ checkpointId }) => checkpointId)).toEqual(['one'])
    works[0]?.resolve(null)
    await clock.pass(60_000)
    expect(works).toHaveLength(1)
  })

  it('gives way to a newer one of the same guest, not to one of another', async () => {
    published('old')
    published('new')
    published('other', 'h')
    await clock.pass(3000)
    works[0]?.resolve(null)
    await clock.pass(3000)
    expect(works.map(({ checkpointId }) => checkpointId)).toEqual(['new', 'other'])
  })

  it('waits while something is under way, and while this PC runs from its battery', async () => {
    operations = [running]
    published('one')
    await clock.pass(10_000)
    operations = []
    power = { onBattery: true, percent: 80 }
    await clock.pass(10_000)
    expect(works).toEqual([])
    power = { onBattery: false, percent: 80 }
    await clock.pass(3000)
    expect(works).toHaveLength(1)
  })
})

describe('a rehearsal', () => {
  it('ends when other work begins, and is tried again after that, however often', async () => {
    published('one')
    for (let time = 1; time <= 5; time += 1) {
      await clock.pass(3000)
      expect(works).toHaveLength(time)
      operations = [running]
      await clock.pass(500)
      expect(works.at(-1)?.signal.aborted).toBe(true)
      operations = []
    }
  })

  it('that fails is given up after three tries', async () => {
    published('one')
    for (let time = 1; time <= 6; time += 1) {
      await clock.pass(3000)
      works.at(-1)?.reject(new Error('no'))
      await settle()
    }
    expect(works).toHaveLength(3)
  })

  it('ends with the host, which waits for it', async () => {
    published('one')
    await clock.pass(3000)
    await rehearsals.close()
    expect(works[0]?.signal.aborted).toBe(true)
  })
})
