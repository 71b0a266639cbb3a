/** Text for a terminal: aligned columns, and nothing in it that a terminal would obey. */

/**
 * Removes control and formatting characters: names come from other PCs, and an escape sequence in one could
 * rewrite the screen. Line breaks stay where `keepLines` says so.
 */
export function printable(text: string, options: { keepLines?: boolean } = {}): string {
  const kept =
    options.keepLines === true ? /[^\P{Cc}\n\t]|\p{Cf}|\p{Zl}|\p{Zp}/gu : /\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/gu
  return text.replace(kept, '')
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const wide =
  /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}/u

/** Columns that a text takes on a terminal: East Asian characters and emoji take two. */
export function textWidth(text: string): number {
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : 1
  return width
}

/** Rows under a heading, columns two spaces apart. An empty list gives `whenEmpty`. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  whenEmpty: string,
): string {
  if (rows.length === 0) return whenEmpty
  const lines = [heading, ...rows.map((row) => row.map((cell) => printable(cell)))]
  const widths = heading.map((_, column) => Math.max(...lines.map((line) => textWidth(line[column] ?? ''))))
  return lines
    .map((line) =>
      line
        .map((cell, column) => pad(cell, widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** `name: value` lines with the values aligned. */
export function facts(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([name]) => textWidth(name)))
  return pairs
    .map(([name, value]) => `${pad(`${name}:`, width + 1)} ${printable(value)}`.trimEnd())
    .join('\n')
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - textWidth(text)))
}
