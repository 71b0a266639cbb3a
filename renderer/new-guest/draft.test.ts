/** What is typed becomes what the contract accepts, or a complaint at the right field. */
import { describe, expect, it } from 'vitest'
import { newGuest } from '../../shared/models/guest.ts'
import { demoGuest, emptyDraft, freshDraft, readDraft, withKind } from './draft.ts'

const named = { ...emptyDraft, name: 'Workshop' }

function problems(draft: Parameters<typeof readDraft>[0]): string[] {
  const read = readDraft(draft)
  return 'problems' in read ? Object.keys(read.problems) : []
}

describe('describing a new guest', () => {
  it('accepts a demo guest with nothing but a name', () => {
    expect(readDraft(named)).toMatchObject({ guest: { name: 'Workshop', source: { kind: 'demo' } } })
  })

  it('has a one-click demo guest that the contract accepts', () => {
    expect(newGuest.parse(demoGuest)).toEqual(demoGuest)
  })

  it('asks for what is missing, at its field', () => {
    expect(problems(emptyDraft)).toEqual(['name'])
    expect(problems(withKind(named, 'disk'))).toEqual(['diskPath'])
    expect(problems(withKind(named, 'iso'))).toEqual(['isoPath'])
    expect(problems(withKind(named, 'kernel'))).toEqual(['kernelPath'])
  })

  it('takes optional files as absent when they are left empty', () => {
    const read = readDraft({ ...withKind(named, 'kernel'), kernelPath: '/boot/vmlinuz' })
    expect(read).toMatchObject({ guest: { source: { kind: 'kernel', initrdPath: null, diskPath: null } } })
  })

  it('complains about absurd sizes and invisible characters', () => {
    expect(problems({ ...named, cores: 65 })).toEqual(['cores'])
    expect(problems({ ...named, memoryMebibytes: 64 })).toEqual(['memoryMebibytes'])
    expect(problems({ ...named, name: 'a\u200bb' })).toEqual(['name'])
  })

  it('starts with one core where guests are emulated, and without the demo guest where there is none', () => {
    expect(freshDraft({ emulates: true, demoAvailable: true })).toMatchObject({ cores: 1, kind: 'demo' })
    expect(freshDraft({ emulates: false, demoAvailable: false })).toMatchObject({ cores: 2, kind: 'disk' })
  })
})
