/**
 * Which checkpoints of a guest go by its rules. Pure. Promises that what a person made or pinned stays, that the newest
 * stays, that asking again after deleting names nothing more, and that a larger number never deletes more.
 */
import type { Checkpoint, CheckpointId, CheckpointRules } from '../../shared/models/checkpoint.ts'

/** The hour, the day and the week of an instant, each as a text that is the same throughout. */
export type Calendar = (atMs: number) => { hour: string; day: string; week: string }

/** By the clock on this PC's wall; weeks begin on Mondays. */
export const localCalendar: Calendar = (atMs) => {
  const date = new Date(atMs)
  const day = dayOf(date)
  const hour = `${day} ${date.getHours()}`
  const sinceMonday = (date.getDay() + 6) % 7
  const monday = new Date(date.getFullYear(), date.getMonth(), date.getDate() - sinceMonday)
  return { hour, day, week: dayOf(monday) }
}

function dayOf(date: Date): string {
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`
}

/**
 * Only what was made by itself and is whole in the vault is counted and may go: what cannot be read must not push out
 * what can, and what is on its way is not there yet.
 * @param checkpoints all of one guest, in any order
 */
export function checkpointsToRemove(
  checkpoints: readonly Checkpoint[],
  keep: CheckpointRules['keep'],
  calendar: Calendar = localCalendar,
): CheckpointId[] {
  const counted = checkpoints
    .filter((each) => each.reason !== 'person' && !each.label.pinned && each.place.kind === 'vault')
    .sort((a, b) => b.atMs - a.atMs || (a.id < b.id ? -1 : 1))
  const kept = new Set(counted.slice(0, Math.max(1, keep.last)).map(({ id }) => id))
  for (const [period, count] of [
    ['hour', keep.hourly],
    ['day', keep.daily],
    ['week', keep.weekly],
  ] as const) {
    const seen = new Set<string>()
    for (const { id, atMs } of counted) {
      const text = calendar(atMs)[period]
      if (seen.has(text)) continue
      if (seen.size >= count) break
      seen.add(text)
      kept.add(id)
    }
  }
  return counted.filter(({ id }) => !kept.has(id)).map(({ id }) => id)
}
