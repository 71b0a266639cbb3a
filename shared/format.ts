/** Numbers in the words of people, the same on every face. */

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** Decimal units, two significant digits below ten: `1.4 GB`, `23 MB`. @param bytes a count of bytes */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes)
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0
  return `${value.toFixed(digits)} ${units[unit]}`
}

/** Memory is counted in powers of two: `512 MiB`, `1.5 GiB`. @param bytes a count of bytes */
export function formatMemory(bytes: number): string {
  const mebibytes = bytes / 1024 ** 2
  if (mebibytes < 1024) return `${Math.round(mebibytes)} MiB`
  const gibibytes = mebibytes / 1024
  return `${Number.isInteger(gibibytes) ? gibibytes : gibibytes.toFixed(1)} GiB`
}

export function formatRate(bytesPerS: number): string {
  return `${formatBytes(bytesPerS)}/s`
}

/** A short length of time as one says it: `0.1 s`, `2 s`, `3 min`, `2 h 5 min`, `4 days`. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000
  if (seconds < 0.095) return `${seconds.toFixed(2)} s`
  if (seconds < 9.95) return `${stripZero(seconds.toFixed(1))} s`
  if (seconds < 89.5) return `${Math.round(seconds)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} days`
}

/** A range of time: `about 2 s` when both ends read alike, else `2 to 4 s`. */
export function formatTimeRange(range: { minMs: number; maxMs: number }): string {
  const low = formatDuration(range.minMs)
  const high = formatDuration(range.maxMs)
  if (low === high) return `about ${high}`
  const [lowNumber, lowUnit] = low.split(' ')
  const [highNumber, highUnit] = high.split(' ')
  return lowUnit === highUnit && low.split(' ').length === 2
    ? `${lowNumber} to ${highNumber} ${highUnit}`
    : `${low} to ${high}`
}

/** The first names of a list: `avx2, sse4.2, bmi1 and 4 more`. @param most how many are named */
export function formatList(names: readonly string[], most: number): string {
  const named = names.slice(0, most).join(', ')
  return names.length > most ? `${named} and ${names.length - most} more` : named
}

function stripZero(text: string): string {
  return text.replace(/\.0$/, '')
}
