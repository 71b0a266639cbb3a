import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ErrorCode, isCode } from '../../shared/errors/index.ts'
import { newEntropy, parsePhrase, phraseOf } from './phrase.ts'

/** From the test vectors of BIP-39 (trezor/python-mnemonic, vectors.json). */
const vectors: [string, string][] = [
  ['00'.repeat(32), `${'abandon '.repeat(23)}art`],
  [
    '7f'.repeat(32),
    `${'legal winner thank year wave sausage worth useful '.repeat(2)}legal winner thank year wave sausage worth title`,
  ],
  [
    '80'.repeat(32),
    `${'letter advice cage absurd amount doctor acoustic avoid '.repeat(2)}letter advice cage absurd amount doctor acoustic bless`,
  ],
  ['ff'.repeat(32), `${'zoo '.repeat(23)}vote`],
]

const failsWith = (code: ErrorCode) => expect.toSatisfy((error: unknown) => isCode(error, code))
const anyEntropy = fc.uint8Array({ minLength: 32, maxLength: 32 })

function thrownBy(text: string): { code: string; message: string; fix: string; detail: string | null } {
  try {
    parsePhrase(text)
  } catch (error) {
    return JSON.parse(JSON.stringify(error))
  }
  throw new Error('nothing was thrown')
}

describe('a recovery phrase', () => {
  it.each(vectors)('of %s is that of BIP-39', (entropy, words) => {
    expect(phraseOf(Buffer.from(entropy, 'hex')).join(' ')).toBe(words)
    expect(parsePhrase(words).toString('hex')).toBe(entropy)
  })

  it('is random, of 24 words', () => {
    const words = phraseOf(newEntropy())
    expect(words).toHaveLength(24)
    expect(words).not.toEqual(phraseOf(newEntropy()))
  })

  it('is taken however it is written: case, breaks, numbers, commas, bullets, first four letters', () => {
    const forms: ((word: string, at: number) => string)[] = [
      (word) => word,
      (word) => `  ${word.toUpperCase()}\t`,
      (word) => `${word}\r\n`,
      (word, at) => `${at + 1}. ${word}`,
      (word, at) => `${at + 1}.${word}\n`,
      (word, at) => `${at + 1}) ${word},`,
      (word, at) => `#${at + 1}: ${word};`,
      (word, at) => `(${at + 1}) “${word}”`,
      (word) => `- ${word}\n`,
      (word) => `\u00a0${word}\u200b`,
      (word) => `${word.slice(0, 2)}\u00ad${word.slice(2)}`,
      (word) => word.slice(0, 4),
      (word) => word.slice(0, 5),
    ]
    fc.assert(
      fc.property(
        anyEntropy,
        fc.array(fc.nat(forms.length - 1), { minLength: 24, maxLength: 24 }),
        (entropy, picks) => {
          const written = phraseOf(entropy).map((word, at) => (forms[picks[at] ?? 0] ?? String)(word, at))
          return parsePhrase(written.join(' ')).equals(Buffer.from(entropy))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('with a word that is not in the list names the first one, where it is, and what it may be', () => {
    const words = phraseOf(Buffer.alloc(32))
    words[6] = 'abandom'
    words[9] = 'qwertz'
    expect(thrownBy(words.join(' '))).toMatchObject({
      code: 'vault.phrase_word',
      message: 'Word 7, “abandom”, is not in the list of recovery words.',
      fix: 'Compare it with what you wrote down. Perhaps it is “abandon”.',
    })
    words[6] = 'xyz'
    expect(thrownBy(words.join(' ')).fix).toBe('Compare it with what you wrote down.')
  })

  it('with three letters of a longer word is not guessed at', () => {
    expect(thrownBy(`aba ${'abandon '.repeat(22)}art`).code).toBe('vault.phrase_word')
  })

  it('of another number of words says how many there are', () => {
    expect(thrownBy('abandon '.repeat(23))).toMatchObject({
      code: 'vault.phrase_length',
      message: 'These are 23 words; a recovery phrase has 24.',
    })
    for (const text of ['', '   ', '1. 2. 3.', 'abandon '.repeat(12), 'abandon '.repeat(5000)]) {
      expect(() => parsePhrase(text)).toThrow(failsWith('vault.phrase_length'))
    }
  })

  it('with two words swapped, or another one, does not pass its checksum, but for one in 256', () => {
    let passed = 0
    for (let run = 0; run < 100; run += 1) {
      const words = phraseOf(randomBytes(32))
      const [a = '', b = ''] = words
      words.splice(0, 2, b, a)
      if (a === b) continue
      try {
        parsePhrase(words.join(' '))
        passed += 1
      } catch (error) {
        expect(isCode(error, 'vault.phrase_checksum')).toBe(true)
      }
    }
    expect(passed).toBeLessThan(8)
  })

  it('is never repeated by an error: no word of the list but those that may be meant', () => {
    const words = phraseOf(Buffer.from('c0ffee'.padEnd(64, '17'), 'hex'))
    const wrong = [
      words.toReversed().join(' '),
      words.slice(1).join(' '),
      [...words.slice(0, 23), 'qqqqqq'].join(' '),
    ]
    for (const text of wrong) {
      const said = JSON.stringify(thrownBy(text))
      expect(words.filter((word) => word.length > 4 && said.includes(word))).toEqual([])
    }
  })

  it('fails with its own errors only, whatever is entered', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        expect(thrownBy(text).code).toMatch(/^vault\.phrase_/)
      }),
      { numRuns: 100 },
    )
  })
})
