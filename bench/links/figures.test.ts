import { describe, expect, it } from 'vitest'
import type { Move } from '../lib/move.ts'
import { middleOf, middleSeconds } from './figures.ts'
import { never, took } from './testing.ts'

const memory = (move: Move) => move.memoryMs
const freeze = (move: Move) => move.freezeMs

describe('the middle of several moves', () => {
  it('counts one that was given up as longer than all others', () => {
    expect(middleSeconds([took(9), never, took(5)], memory)).toEqual({ value: 9, isMore: false, n: 3 })
    expect(middleSeconds([never, took(5)], memory)).toEqual({ value: 60, isMore: true, n: 2 })
    expect(middleSeconds([never, never, took(5)], memory)).toEqual({ value: 60, isMore: true, n: 3 })
  })

  it('is nothing where nothing was measured', () => {
    expect(middleSeconds([], memory)).toBeNull()
    expect(middleOf([], freeze)).toBeNull()
  })

  it('is of those that arrived where only they have such a thing', () => {
    expect(middleOf([never, took(5, { freezeMs: 80 })], freeze)).toEqual({ value: 80, isMore: false, n: 1 })
    expect(middleOf([never], freeze)).toBeNull()
  })
})
