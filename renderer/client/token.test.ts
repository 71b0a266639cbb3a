/** The token leaves the address, the view in it stays. */
import { describe, expect, it } from 'vitest'
import { splitToken } from './token.ts'

describe('token in the address', () => {
  it.each([
    ['#token=abc-_9', 'abc-_9', ''],
    ['#/history?token=abc', 'abc', '#/history'],
    ['#/pair/p1&token=abc', 'abc', '#/pair/p1'],
    ['#/history', null, '#/history'],
    ['', null, ''],
  ])('splits %s', (hash, token, rest) => {
    expect(splitToken(hash)).toEqual({ token, rest })
  })
})
