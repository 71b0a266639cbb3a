/** The recovery phrase as it is pasted, checked and kept. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { phrase } from '../fixtures/checkpoints.ts'
import { askedWords, isWord, phraseFile, phraseProblem, phraseWords } from './phrase.ts'

const words = phrase.split(' ')

describe('a phrase that is pasted', () => {
  it('is read whatever stands between its words', () => {
    const between = fc.constantFrom(' ', '\n', '\t', ', ', ' . ', '\r\n) ', '  ')
    fc.assert(
      fc.property(fc.array(between, { minLength: 24, maxLength: 24 }), (gaps) => {
        const text = words.map((word, index) => `${gaps[index]}${word.toUpperCase()}`).join('')
        expect(phraseWords(text)).toEqual(words)
      }),
    )
  })

  it('is read with its numbers', () => {
    const text = words.map((word, index) => `${index + 1}) ${word}`).join('   ')
    expect(phraseWords(text)).toEqual(words)
    expect(phraseWords('1. gravity 2. machine')).toEqual(['gravity', 'machine'])
  })

  it('says what is missing of it, or too much', () => {
    expect(phraseProblem(phrase)).toBeNull()
    expect(phraseProblem(words.slice(1).join(' '))).toBe('23 of 24 words so far.')
    expect(phraseProblem(`${phrase} more`)).toBe('These are 25 words; the phrase has 24.')
  })
})

describe('a phrase that was written down', () => {
  it('is checked by two of its words, spaces and capitals aside', () => {
    for (const number of askedWords) {
      expect(isWord(words, number, ` ${words[number - 1]?.toUpperCase()} `)).toBe(true)
      expect(isWord(words, number, words[number] ?? '')).toBe(false)
      expect(isWord(words, number, '')).toBe(false)
    }
  })

  it.each(['3 Mar 2026', '1 Mar 2026', '2 Jan 2026'])(
    'can be pasted back as the whole file it was saved to (%s)',
    (date) => {
      const file = phraseFile(words, 'the folder /mnt/nas', date)
      expect(file).toContain('the folder /mnt/nas')
      expect(phraseWords(file)).toEqual(words)
    },
  )
})
