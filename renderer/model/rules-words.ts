/** What the rules of automatic checkpoints come to, in sentences. Pure. */
import { formatDuration } from '../../shared/format.ts'
import type { CheckpointRules } from '../../shared/models/checkpoint.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** The steps of time that are offered; a rule from elsewhere is offered besides. */
export const offeredMinutes: readonly number[] = [15, 30, 60, 240, 1440]

/** `15 min`, `4 h`, `day`, as after “every”. */
export function everyWords(minutes: number): string {
  if (minutes === 1440) return 'day'
  if (minutes === 60) return 'hour'
  return formatDuration(minutes * minuteMs)
}

/** `Made every 30 min while it runs, before it moves and when the battery is low.` */
export function whenWords(rules: CheckpointRules): string {
  const times = [
    ...(rules.everyMinutes === null ? [] : [`every ${everyWords(rules.everyMinutes)} while it runs`]),
    ...(rules.beforeMove ? ['before it moves'] : []),
    ...(rules.onLowBattery ? ['when the battery is low'] : []),
    ...(rules.beforeSleep ? ['before this PC sleeps'] : []),
    ...(rules.onQuit ? ['when Wireless Dock+ is quit'] : []),
  ]
  return times.length === 0 ? 'None are made by themselves.' : `Made ${joined(times)}.`
}

/** What is kept of them, and how far back that reaches. */
export function keepWords({ keep, everyMinutes }: CheckpointRules): string {
  const steps = [
    ...(keep.hourly === 0 ? [] : [`one an hour for ${counted(keep.hourly, 'hour')}`]),
    ...(keep.daily === 0 ? [] : [`one a day for ${counted(keep.daily, 'day')}`]),
    ...(keep.weekly === 0 ? [] : [`one a week for ${counted(keep.weekly, 'week')}`]),
  ]
  const newest = keep.last === 1 ? 'the newest one' : `the newest ${keep.last}`
  const then = steps.length === 0 ? '' : `, then ${joined(steps)}`
  const most = keep.last + keep.hourly + keep.daily + keep.weekly
  const reach = reachWords(keep, everyMinutes)
  return `Kept are ${newest}${then}: at most ${most}${reach === null ? '' : `, reaching back ${reach}`}.`
}

/** How far back the oldest one lies that is kept; null where that depends on chance. */
function reachWords(keep: CheckpointRules['keep'], everyMinutes: number | null): string | null {
  if (everyMinutes === null) return null
  const reaches: [number, string][] = [
    [keep.weekly * 7 * dayMs, counted(keep.weekly, 'week')],
    [keep.daily * dayMs, counted(keep.daily, 'day')],
    [keep.hourly * hourMs, counted(keep.hourly, 'hour')],
    [keep.last * everyMinutes * minuteMs, formatDuration(keep.last * everyMinutes * minuteMs)],
  ]
  return reaches.reduce((far, next) => (next[0] > far[0] ? next : far))[1]
}

function counted(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

function joined(parts: readonly string[]): string {
  return parts.length < 2 ? (parts[0] ?? '') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}
