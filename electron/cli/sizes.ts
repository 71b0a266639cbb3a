/** Sizes and counts as people type them. */
import { fail } from '../../shared/errors/index.ts'

const powers: Readonly<Record<string, number>> = { K: 1, M: 2, G: 3, T: 4 }

/**
 * `512M`, `1.5G`, `20 GiB`, `1048576`: units are powers of two, as guests' memory and disks are counted.
 * @returns bytes @throws command.usage
 */
export function parseSize(text: string, what: string, command: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:i?B)?|B)?$/i.exec(text.trim())
  const bytes = match ? Number(match[1]) * 1024 ** (powers[match[2]?.toUpperCase() ?? ''] ?? 0) : Number.NaN
  if (!Number.isSafeInteger(Math.round(bytes)) || bytes <= 0) {
    throw fail('command.usage', { why: `${what} must be a size such as 512M or 20G`, command })
  }
  return Math.round(bytes)
}

/** A whole number. @throws command.usage */
export function parseCount(text: string, what: string, command: string): number {
  if (!/^\d{1,9}$/.test(text)) throw fail('command.usage', { why: `${what} must be a whole number`, command })
  return Number(text)
}
