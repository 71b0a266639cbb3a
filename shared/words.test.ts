import { describe, expect, it } from 'vitest'
import { fail } from './errors/index.ts'
import { checkpointReason, type VaultWork } from './models/checkpoint.ts'
import { type GuestState, guestState } from './models/guest.ts'
import { checkpointPhase, migrationPhase, type Progress, restorePhase } from './models/operation.ts'
import {
  amountWords,
  checkpointPhaseWord,
  checkpointPlaceWord,
  checkpointReasonWord,
  checkpointSizeWords,
  guestStateWord,
  outcomeWord,
  paceWords,
  phaseWord,
  restorePhaseWord,
  tookWords,
  transferWords,
  vaultWorkWords,
  warmWords,
} from './words.ts'

const progress: Progress = {
  doneBytes: 212e6,
  totalBytes: 530e6,
  rateBytesPerS: 98e6,
  timeLeft: { minMs: 3100, maxMs: 4200 },
}

describe('words of guests', () => {
  it('are there for every state of the contract, no two alike', () => {
    const kinds = guestState.options.map((option) => option.shape.kind.value)
    const words = kinds.map((kind) => guestStateWord({ kind } as GuestState))
    expect(words).not.toContain(undefined)
    expect(new Set(words).size).toBe(kinds.length)
    expect(guestStateWord({ kind: 'stopped' })).toBe('off')
  })
})

describe('words of moves', () => {
  it('are there for every phase, no two alike', () => {
    const words = migrationPhase.options.map(phaseWord)
    expect(words).not.toContain(undefined)
    expect(new Set(words).size).toBe(words.length)
    expect(phaseWord('copying-memory')).toBe('copying memory')
  })

  it('say how far work on the vault is, and nothing while that is not known', () => {
    const words = (progress: VaultWork['progress']) => vaultWorkWords({ id: 'w', progress })
    const check = { kind: 'check', checkpoints: 3, ofCheckpoints: 12, readBytes: 0 } as const
    expect(words(check)).toBe('3 of 12 checkpoints')
    expect(words({ ...check, readBytes: 1.2e9 })).toBe('3 of 12 checkpoints, 1.2 GB read')
    expect(words({ ...check, ofCheckpoints: null })).toBe('')
    expect(words({ kind: 'sweep', doneBytes: 10e6, totalBytes: 30e6 })).toBe('10 MB of 30 MB freed')
    expect(words({ kind: 'sweep', doneBytes: 0, totalBytes: null })).toBe('')
  })

  it('say what crosses of the memory', () => {
    expect(transferWords('pages', 'Laptop')).toBe('Only what Laptop lacks is sent.')
    expect(transferWords('plain', 'Laptop')).toMatch(/^Memory is sent as it is: .*\.$/)
  })

  it('say what is done of what is to be done', () => {
    expect(amountWords(progress)).toBe('212 MB of 530 MB')
    expect(amountWords({ ...progress, totalBytes: null })).toBe('212 MB')
  })

  it('leave out of the pace what is not known yet', () => {
    expect(paceWords(progress)).toBe('98 MB/s · 3.1 to 4.2 s left')
    expect(paceWords({ ...progress, timeLeft: null })).toBe('98 MB/s')
    expect(paceWords({ ...progress, rateBytesPerS: 0, timeLeft: null })).toBe('')
  })

  it('say how a move ended and what it took', () => {
    expect(outcomeWord({ kind: 'cancelled' })).toBe('cancelled')
    const bytes = { wireBytes: 0, memoryBytes: 0, diskBytes: 0, rounds: 1 }
    expect(tookWords({ totalMs: 3200, downtimeMs: 60, ...bytes })).toBe('3.2 s, freeze of 0.06 s')
  })
})

describe('words of checkpoints', () => {
  it.each([
    ['phase of a checkpoint', checkpointPhase.options.map(checkpointPhaseWord)],
    ['phase of a restore', restorePhase.options.map(restorePhaseWord)],
    ['reason', checkpointReason.options.map(checkpointReasonWord)],
  ])('are there for every %s, no two alike', (_what, words) => {
    expect(words).not.toContain(undefined)
    expect(new Set(words).size).toBe(words.length)
  })

  it('say where it is, and that only this PC has it while it is on its way', () => {
    expect(checkpointPlaceWord({ kind: 'vault' })).toBe('in the vault')
    expect(checkpointPlaceWord({ kind: 'on-its-way' })).toMatch(/only on this PC/)
  })

  it('say its size whole and what it added', () => {
    expect(checkpointSizeWords({ wholeBytes: 42e6, addedBytes: 3e6 })).toBe('42 MB, added 3.0 MB')
  })
})

describe('words of docks that are kept ready', () => {
  const reason = fail('warm.on_battery', { dock: 'Laptop' }).toJSON()

  it.each([
    [{ kind: 'ready', atMs: 0, time: { minMs: 900, maxMs: 3100 } }, 'ready, about 2 s'],
    [{ kind: 'ready', atMs: 0, time: null }, 'ready'],
    [{ kind: 'warming', percent: 92.7 }, '92 % warm'],
    [{ kind: 'waiting', percent: 0, reason: null }, 'not warm yet'],
    [{ kind: 'waiting', percent: 40, reason }, '40 % warm: Laptop runs on its battery'],
  ] as const)('say how far one is: %j', (state, words) => {
    expect(warmWords(state)).toBe(words)
  })
})
