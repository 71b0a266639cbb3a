/** What is asked before something is done for good. */
import { describe, expect, it } from 'vitest'
import { checkpoint, folderVault, lent } from '../fixtures/checkpoints.ts'
import { laptop } from '../fixtures/things.ts'
import { questionWords } from './question-words.ts'

const nowMs = Date.now()
const kept = checkpoint(1, { label: { name: 'Before the update', note: '', pinned: false } })
const around = { vault: folderVault, checkpoints: [kept], nowMs }
const text = (...args: Parameters<typeof questionWords>): string => questionWords(...args).text.join(' ')

describe('questions about checkpoints', () => {
  it('say that deleting cannot be undone, what stays, and what becomes of the space', () => {
    const question = { kind: 'delete-checkpoint', checkpoint: kept } as const
    expect(questionWords(question, around).title).toContain('Before the update')
    expect(text(question, around)).toMatch(/Workshop itself .* stay.*cannot be undone.*freed/)
  })

  it('say that a link ends at once, and that what was restored from it does not', () => {
    expect(text({ kind: 'revoke', link: lent(1) }, around)).toMatch(/at once.*stays theirs/)
  })

  it('do not take back a link that has ended, but remove it', () => {
    const question = { kind: 'revoke', link: lent(1, { endMs: nowMs - 1000 }) } as const
    expect(questionWords(question, around).confirm).toBe('Remove it')
    expect(text(question, around)).not.toMatch(/stops working/)
  })

  it('warn of forgetting a vault whose phrase nobody has written down', () => {
    const question = { kind: 'forget-vault' } as const
    expect(text(question, around)).toMatch(/need its recovery phrase/)
    expect(text(question, { ...around, vault: { ...folderVault, phraseSeen: false } })).toMatch(
      /not written down.*nobody can ever open/,
    )
  })

  it('warn of forgetting a vault while something is on its way there', () => {
    const waiting = checkpoint(2, { place: { kind: 'on-its-way' } })
    const question = { kind: 'forget-vault' } as const
    expect(text(question, { ...around, checkpoints: [kept, waiting] })).toMatch(/1 checkpoint .* is still on/)
    expect(text(question, around)).not.toMatch(/still on/)
  })
})

describe('questions about the memory of guests', () => {
  it('say that nothing is lost but time', () => {
    expect(text({ kind: 'forget-kept' }, around)).toMatch(/Nothing is lost.*takes as long as a first one/)
  })

  it('say at unpairing that what was kept for the other PC goes, too', () => {
    expect(text({ kind: 'unpair', dock: laptop }, around)).toMatch(
      /stay where they are.*memory .* is removed/,
    )
  })
})
