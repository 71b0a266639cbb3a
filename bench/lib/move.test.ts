import { describe, expect, it } from 'vitest'
import { arrived, turns } from './move.ts'

describe('a comparison', () => {
  it('lets both sides begin in turns', () => {
    expect(turns(0, 'ours', 'peer')).toEqual(['ours', 'peer'])
    expect(turns(1, 'ours', 'peer')).toEqual(['peer', 'ours'])
  })

  it('takes no figures from a guest that never arrived', () => {
    const move = { totalMs: 2, memoryMs: 1, freezeMs: 1, wireBytes: 3 }
    expect(arrived({ kind: 'arrived', move })).toBe(move)
    expect(() => arrived({ kind: 'gave-up', afterMs: 60_000 })).toThrow('60000 ms')
  })
})
