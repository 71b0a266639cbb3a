/**
 * The recovery phrase: 24 words of the English list of BIP-39 that stand for 32 random bytes and a checksum.
 * Forgiving in how they are entered (case, spaces, line breaks, numbers in front, the first four letters of a word,
 * which are unique in that list), strict in what they are. Promises to name the first word that is not in the list
 * and never to repeat the others.
 */
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { fail, type WdockError } from '../../shared/errors/index.ts'
import { type Random, systemRandom } from '../platform/random.ts'

/** How many words a phrase has. */
export const phraseWords = 24

const entropyBytes = 32
const prefixLetters = 4
/** Far more than 24 numbered words. */
const longestText = 4096

const known = new Set(wordlist)
const byPrefix = new Map(wordlist.map((word) => [word.slice(0, prefixLetters), word]))

/** Random bytes for a new phrase. */
export function newEntropy(random: Random = systemRandom): Buffer {
  return random.bytes(entropyBytes)
}

/** The words that stand for 32 bytes. */
export function phraseOf(entropy: Uint8Array): string[] {
  if (entropy.length !== entropyBytes) throw new RangeError('a phrase stands for 32 bytes')
  return entropyToMnemonic(entropy, wordlist).split(' ')
}

/**
 * The 32 bytes that a phrase stands for, as a person has entered it.
 * @throws vault.phrase_word, vault.phrase_length, vault.phrase_checksum
 */
export function parsePhrase(text: string): Buffer {
  if (text.length > longestText) throw wrongLength(text.split(/\s+/).length)
  const words = wordsIn(text).map((written, index) => listed(written) ?? unknown(written, index + 1))
  const wrong = words.find((word) => typeof word !== 'string')
  if (wrong !== undefined) throw wrong
  if (words.length !== phraseWords) throw wrongLength(words.length)
  try {
    return Buffer.from(mnemonicToEntropy(words.join(' '), wordlist))
  } catch {
    // The library's error is no cause to keep: nothing of the phrase may get into a log.
    throw fail('vault.phrase_checksum')
  }
}

/** What was written between spaces, commas and the like, without numbers in front or signs around it. */
function wordsIn(text: string): string[] {
  return text
    .normalize('NFKD')
    .replace(/\p{Cf}/gu, '')
    .toLowerCase()
    .split(/[\s,;|/]+/u)
    .map((piece) => piece.replace(/^[^\p{L}\d]*(\d+[^\p{L}\d]*)?/u, '').replace(/[^\p{L}\d]+$/u, ''))
    .filter((piece) => piece !== '')
}

function listed(written: string): string | null {
  if (known.has(written)) return written
  const word = byPrefix.get(written.slice(0, prefixLetters))
  return written.length >= prefixLetters && word?.startsWith(written) ? word : null
}

function unknown(written: string, number: number): WdockError {
  const similar = wordlist.filter((word) => isSimilar(word, written)).slice(0, 3)
  const hint = similar.length === 0 ? '' : ` Perhaps it is “${similar.join('” or “')}”.`
  return fail('vault.phrase_word', { number, word: written.slice(0, 40), hint })
}

/** The same first four letters, or one letter too many, too few, or another one. */
function isSimilar(word: string, written: string): boolean {
  if (written.length > prefixLetters && written.startsWith(word.slice(0, prefixLetters))) return true
  let front = 0
  while (front < word.length && word[front] === written[front]) front += 1
  const [rest, writtenRest] = [word.slice(front), written.slice(front)]
  return (
    rest.slice(1) === writtenRest.slice(1) || rest.slice(1) === writtenRest || rest === writtenRest.slice(1)
  )
}

function wrongLength(count: number): WdockError {
  return fail('vault.phrase_length', { count })
}
