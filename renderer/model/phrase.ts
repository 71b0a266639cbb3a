/** The recovery phrase as people write and paste it: 24 words. Pure; whether it is the right one the host finds out. */

export const phraseLength = 24
/** The words that are asked for, counted from one, to see that the phrase was written down. */
export const askedWords = [7, 19] as const

/**
 * The words of a text: numbers, punctuation, line breaks and capitals do not matter, and of a text in which 24 words
 * are numbered, as in a saved file, only those count.
 */
export function phraseWords(text: string): string[] {
  const lower = text.toLowerCase()
  return numberedWords(lower) ?? lower.match(/[a-z]+/g) ?? []
}

function numberedWords(text: string): string[] | null {
  let words: string[] = []
  for (const [, number, word = ''] of text.matchAll(/\b(\d{1,2})[.):]?\s+([a-z]+)/g)) {
    // Other text may hold a number one, as a date does: the list begins at the last.
    if (Number(number) === 1) words = []
    if (Number(number) === words.length + 1) words.push(word)
  }
  return words.length === phraseLength ? words : null
}

/** What is still wrong with a phrase that is being typed; null when it has all its words. */
export function phraseProblem(text: string): string | null {
  const count = phraseWords(text).length
  if (count === phraseLength) return null
  return count < phraseLength
    ? `${count} of ${phraseLength} words so far.`
    : `These are ${count} words; the phrase has ${phraseLength}.`
}

/** Whether a word that was typed is word `number` of the phrase. @param number from one */
export function isWord(words: readonly string[], number: number, typed: string): boolean {
  return phraseWords(typed).join(' ') === words[number - 1]
}

/** The phrase as a text file to keep. @param place the vault, as in “the folder /mnt/nas” */
export function phraseFile(words: readonly string[], place: string, dateText: string): string {
  const lines = words.map((word, index) => `${String(index + 1).padStart(2)}. ${word}`)
  return [
    'Recovery phrase of a Wireless Dock+ vault',
    `Vault: ${place}`,
    `Written: ${dateText}`,
    '',
    'Whoever has these words and can reach the vault can read every checkpoint in it.',
    'Without them, the checkpoints are lost with the PCs that use the vault.',
    '',
    ...lines,
    '',
  ].join('\n')
}
