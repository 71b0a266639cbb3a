/** What is kept of guests' memory, in words, and how much may be. Pure. */
import { formatMemory } from '../../shared/format.ts'
import type { KeptGuestMemory } from '../../shared/models/kept-memory.ts'
import { momentWords } from './dates.ts'

const usualLimitsMiB = [0, 4096, 16_384, 65_536]

/** What the limit can be set to: the usual ones, and between them what it is if somebody chose another. */
export function limitChoices(limitMiB: number): [value: string, text: string][] {
  const limits = [...new Set([...usualLimitsMiB, limitMiB])].toSorted((a, b) => a - b)
  return limits.map((limit) => [String(limit), limit === 0 ? 'Nothing' : formatMemory(limit * 2 ** 20)])
}

export function keptName({ guestName }: Pick<KeptGuestMemory, 'guestName'>): string {
  return guestName ?? 'A guest whose name is not known'
}

/** `1.5 GiB · last used today, 14:05, with Laptop` */
export function keptFacts(guest: Omit<KeptGuestMemory, 'guestId' | 'guestName'>, nowMs: number): string {
  const { bytes, dockId, dockName, usedAtMs } = guest
  const withWhom = dockId === null ? '' : `, with ${dockName ?? 'another PC'}`
  return `${formatMemory(bytes)} · last used ${momentWords(usedAtMs, nowMs)}${withWhom}`
}
