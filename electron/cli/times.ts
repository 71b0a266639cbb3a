/** Instants and spans as people type and read them, in the PC's own time zone. */
import { fail } from '../../shared/errors/index.ts'

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** `2026-11-22 03:43`; sorts as it reads. */
export function localTime(atMs: number): string {
  const at = new Date(atMs)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}`
}

/** `30m`, `2h`, `1d`, `4w`. @returns milliseconds @throws command.usage */
export function parseSpan(text: string, what: string, command: string): number {
  const match = /^(\d{1,5})\s*([mhdw])$/i.exec(text.trim())
  const spanMs = Number(match?.[1] ?? 0) * (units[match?.[2]?.toLowerCase() ?? ''] ?? 0)
  if (spanMs > 0) return spanMs
  throw fail('command.usage', { why: `${what} must be a span such as 30m, 2h, 1d or 4w`, command })
}

/** `2026-12-24 18:00`, `2026-12-24` (its first minute). @returns milliseconds since 1970 @throws command.usage */
export function parseInstant(text: string, what: string, command: string): number {
  const match = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2}))?$/.exec(text.trim())
  const [year, month, day, hour, minute] = (match ?? []).slice(1).map((part) => Number(part ?? 0))
  const at = new Date(year ?? Number.NaN, (month ?? 0) - 1, day, hour, minute)
  // Date takes the 31st of February for the 3rd of March.
  if (at.getMonth() === (month ?? 0) - 1 && at.getDate() === day && at.getHours() === hour) {
    return at.getTime()
  }
  throw fail('command.usage', { why: `${what} must be a time such as "2026-12-24 18:00"`, command })
}
