import { describe, expect, it } from 'vitest'
import { errorShape, errorTable, fail, isCode, toWdockError } from './index.ts'

/** Words of the code for which people have one of their own: the vault, its files, a checkpoint, freeing space. */
const jargon = /\b(?:stores?|objects?|manifests?|frames?|sweeps?|spools?|page faults?)\b/i

describe('the tree of errors', () => {
  it.each(Object.entries(errorTable))('%s says what happened and what to do in sentences', (_code, spec) => {
    for (const sentence of [spec.says, spec.fix]) {
      if (/^\{\w+\}$/.test(sentence)) continue
      expect(sentence).toMatch(/^[\p{Lu}“{]/u)
      expect(sentence.length).toBeGreaterThan(5)
      expect(sentence).not.toMatch(jargon)
    }
    expect(spec.says).toMatch(/[.!]$|\{\w+\}$/)
  })

  it('fills in values, survives the way over a border, and keeps its code', () => {
    const error = fail('disk.no_space', { needed: '2 GB', free: '1 GB' }, { detail: 'ENOSPC' })
    expect(error.message).toContain('2 GB needed, 1 GB free')
    const shape = errorShape.parse(JSON.parse(JSON.stringify(error)))
    expect(shape).toEqual(error.toJSON())
    expect(isCode(error, 'disk.no_space')).toBe(true)
  })

  it('gives a place its capital at the head of a sentence, and there alone', () => {
    const place = 'the folder /mnt/nas'
    expect(fail('store.unreachable', { place }).message).toBe('The folder /mnt/nas does not answer.')
    expect(fail('store.cut', { place }).message).toBe('The connection to the folder /mnt/nas broke off.')
    expect(fail('restore.unfinished', { name: 'mail' }).message).toMatch(/ of mail /)
  })

  it('wraps what nobody foresaw, with its stack as the detail', () => {
    const error = toWdockError(new TypeError('boom'))
    expect(error.code).toBe('host.unexpected')
    expect(error.detail).toContain('boom')
    expect(toWdockError(error)).toBe(error)
  })
})
