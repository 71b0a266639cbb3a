/** Words of checkpoints, and what can be done with them. */
import { describe, expect, it } from 'vitest'
import type { VaultState } from '../../shared/models/checkpoint.ts'
import {
  azureVault,
  checkpoint,
  damaged,
  expired,
  folderVault,
  unreachable,
} from '../fixtures/checkpoints.ts'
import { guest, hereId, laptopId, off } from '../fixtures/things.ts'
import {
  checkpointsAreListed,
  checkpointTitle,
  countWords,
  dayTitle,
  lendProblem,
  lentListWords,
  mayCheckpoint,
  pictureTitle,
  sameProblem,
  spokenCheckpoint,
  vaultWantsAttention,
} from './checkpoint-words.ts'

const atMs = new Date(2026, 2, 3, 14, 5).getTime()
const nowMs = atMs + 60_000
const plain = checkpoint(1, { atMs, wholeBytes: 42e6, addedBytes: 3e6 })
const named = { ...plain, label: { name: 'Before the update', note: '', pinned: true } }

describe('names of checkpoints', () => {
  it('are their instant where nobody gave them one', () => {
    expect(checkpointTitle(plain, nowMs)).toBe('Today, 14:05')
    expect(pictureTitle(plain)).toBe('14:05')
    expect(checkpointTitle(named, nowMs)).toBe('Before the update')
    expect(pictureTitle(named)).toBe('Before the update')
    expect(dayTitle(atMs, nowMs)).toBe('Today')
    expect(countWords(1)).toBe('1 checkpoint')
  })

  it('are spoken with all that the picture shows', () => {
    expect(spokenCheckpoint(named, nowMs)).toBe(
      'Before the update, today, 14:05, made by itself, 42 MB, added 3.0 MB, in the vault, pinned',
    )
  })
})

describe('restoring as the guest itself', () => {
  it('works where the guest is here and rests, or is nowhere in sight', () => {
    expect(sameProblem(guest(1, 'Workshop'), hereId, 'This PC')).toBeNull()
    expect(sameProblem(null, hereId, 'another PC')).toBeNull()
  })

  it('never makes a second one of a guest that is elsewhere, on its way or unsettled', () => {
    expect(sameProblem(guest(1, 'Workshop', { dockId: laptopId }), hereId, 'Laptop')).toMatch(
      /^It is on Laptop/,
    )
    expect(sameProblem(guest(1, 'Workshop', { operationId: 'move' }), hereId, 'This PC')).not.toBeNull()
    const state = { kind: 'unsettled' as const, migrationId: 'm', otherDockId: laptopId }
    expect(sameProblem(guest(1, 'Workshop', { state }), hereId, 'This PC')).toMatch(/not settled/)
  })
})

describe('what is offered', () => {
  it('is a checkpoint of a guest that runs, is paused or off, while nothing else is under way', () => {
    expect(mayCheckpoint(guest(1, 'Workshop'))).toBe(true)
    expect(mayCheckpoint(off(1, 'Workshop'))).toBe(true)
    expect(mayCheckpoint(guest(1, 'Workshop', { operationId: 'move' }))).toBe(false)
    expect(mayCheckpoint(guest(1, 'Workshop', { state: { kind: 'preparing' } }))).toBe(false)
  })

  it('is lending only of what is whole in a vault that can, and else with the reason', () => {
    const onItsWay = checkpoint(1, { place: { kind: 'on-its-way' } })
    expect(lendProblem(plain, azureVault)).toBeNull()
    expect(lendProblem(onItsWay, azureVault)).toMatch(/as soon as it is in the vault/)
    expect(lendProblem(damaged, azureVault)).toMatch(/damaged/)
    expect(lendProblem(plain, folderVault)).toMatch(/cloud storage/)
    expect(lendProblem(plain, { ...azureVault, canLend: false })).toMatch(/key/)
    expect(lendProblem(plain, { kind: 'none' })).not.toBeNull()
  })
})

describe('the list of links', () => {
  it('says that it shows those of this PC only, and when there are none, how to lend', () => {
    expect(lentListWords(2, azureVault)).toMatch(
      /^Links that other PCs made .* are listed on those PCs only\.$/,
    )
    expect(lentListWords(0, azureVault)).toMatch(
      /^Nothing is lent from this PC\. To lend .* on those PCs only\.$/,
    )
  })

  it('says that links may be missing, and why, while the list could not be read', () => {
    const unread: VaultState = { ...azureVault, lentList: { kind: 'unread', error: unreachable } }
    for (const count of [0, 2]) {
      expect(lentListWords(count, unread)).toMatch(
        /^Some links may be missing here; .* every few minutes\. .*does not answer\.$/,
      )
    }
  })

  it('does not say that nothing is lent while it is being read, nor where nothing can be', () => {
    expect(lentListWords(0, { ...azureVault, lentList: { kind: 'reading' } })).toBeNull()
    expect(lentListWords(0, folderVault)).toBeNull()
    expect(lentListWords(0, { kind: 'none' })).toBeNull()
  })
})

describe('the list of checkpoints', () => {
  it('is whole once it was read, and not before', () => {
    expect(checkpointsAreListed(azureVault)).toBe(true)
    expect(checkpointsAreListed({ ...azureVault, checkpointList: { kind: 'reading' } })).toBe(false)
    const unread: VaultState = { ...azureVault, checkpointList: { kind: 'unread', error: unreachable } }
    expect(checkpointsAreListed(unread)).toBe(false)
    expect(checkpointsAreListed({ kind: 'opening', placeSentence: '' })).toBe(false)
    expect(checkpointsAreListed({ kind: 'none' })).toBe(false)
  })
})

describe('the mark beside “Checkpoints”', () => {
  it.each<[VaultState, boolean]>([
    [{ kind: 'none' }, false],
    [folderVault, false],
    [{ ...folderVault, phraseSeen: false }, true],
    [{ ...azureVault, trouble: { error: unreachable, sinceMs: 0 } }, false],
    [{ ...azureVault, trouble: { error: expired, sinceMs: 0 } }, true],
    [{ kind: 'failed', placeSentence: 'the folder /x', error: expired }, true],
  ])(
    'stands there when a person has to do something, not for what passes by itself (%#)',
    (vault, wanted) => {
      expect(vaultWantsAttention(vault)).toBe(wanted)
    },
  )
})
