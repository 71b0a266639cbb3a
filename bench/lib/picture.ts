/**
 * What pictures of measurements have in common. Pure. Colours are of a middle brightness, so that they can be read on white
 * and on black; nothing is drawn behind a picture.
 */
export const colours = {
  ours: '#1f9d68',
  oursAgain: '#58c896',
  oursWarm: '#3d8fd1',
  theirs: '#d1663b',
  theirsToo: '#d9a03f',
  text: '#7d8590',
  grid: '#7d859055',
} as const

export interface Axis {
  from: number
  to: number
}

/** An SVG document of these parts. */
export function svgDocument(
  { width, height, title }: { width: number; height: number; title: string },
  parts: readonly string[],
): string {
  const font = 'font-family="system-ui, sans-serif" font-size="12"'
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ${font} fill="${colours.text}">`,
    `<title>${title}</title>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

/** Whole powers of ten around all values. */
export function decadesAround(values: readonly number[]): Axis {
  const positive = values.filter((value) => value > 0)
  const from = 10 ** Math.floor(Math.log10(Math.min(...positive)))
  const to = 10 ** Math.ceil(Math.log10(Math.max(...positive)))
  return positive.length === 0 ? { from: 0.1, to: 1 } : { from, to: to > from ? to : from * 10 }
}

/** Where a value lies on a logarithmic axis, from 0 to 1. */
export function alongAxis(value: number, { from, to }: Axis): number {
  return Math.log(Math.max(value, from) / from) / Math.log(to / from)
}

/** Lines across a panel at whole powers of ten, with their seconds at its left. @param up where a value lies, from above */
export function secondsGrid({ from, to }: Axis, width: number, up: (seconds: number) => number): string {
  const count = Math.round(Math.log10(to / from))
  const lines = Array.from({ length: count + 1 }, (_, at) => from * 10 ** at).map(
    (seconds) =>
      `<path d="M0 ${up(seconds)}H${width}" stroke="${colours.grid}"/><text x="-8" y="${up(seconds) + 4}" text-anchor="end">${secondsWords(seconds)}</text>`,
  )
  return lines.join('')
}

function secondsWords(seconds: number): string {
  return seconds < 0.995 ? `${Math.round(seconds * 1000)} ms` : `${Math.round(seconds)} s`
}

/** To a tenth of a pixel. */
export function pixels(value: number): number {
  return Math.round(value * 10) / 10
}
