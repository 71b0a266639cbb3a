/**
 * Checkpoints in the order in which people look at them: newest first, day by day, and which one a key leads to.
 * Pure. Relies on the host's order, newest first.
 */
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { startOfDay } from './dates.ts'
import { findGuest } from './desk-view.ts'

export interface Day {
  /** Its first instant, which is also its name among the others. */
  startMs: number
  checkpoints: Checkpoint[]
}

/** @param checkpoints newest first */
export function daysOf(checkpoints: readonly Checkpoint[]): Day[] {
  const days: Day[] = []
  for (const checkpoint of checkpoints) {
    const startMs = startOfDay(checkpoint.atMs)
    const last = days.at(-1)
    if (last?.startMs === startMs) last.checkpoints.push(checkpoint)
    else days.push({ startMs, checkpoints: [checkpoint] })
  }
  return days
}

/**
 * Where a key leads from checkpoint `fromId`: left and right one newer or older, page up and down a day, home and
 * end to the newest and the oldest. @returns null for any other key and where nothing is further on.
 */
export function stepFrom(days: readonly Day[], fromId: string, key: string): Checkpoint | null {
  const all = days.flatMap((day) => day.checkpoints)
  const at = all.findIndex(({ id }) => id === fromId)
  const dayAt = days.findIndex((day) => day.checkpoints.some(({ id }) => id === fromId))
  switch (key) {
    case 'ArrowRight':
    case 'ArrowDown':
      return all[at + 1] ?? null
    case 'ArrowLeft':
    case 'ArrowUp':
      return all[at - 1] ?? null
    case 'PageDown':
      return days[dayAt + 1]?.checkpoints[0] ?? null
    case 'PageUp':
      return days[dayAt - 1]?.checkpoints[0] ?? null
    case 'Home':
      return all[0] ?? null
    case 'End':
      return all.at(-1) ?? null
    default:
      return null
  }
}

/**
 * The one that is shown: as chosen, else the newest. Where the chosen one was deleted meanwhile, the one that took
 * its place, so that nothing jumps.
 */
export function shownCheckpoint(
  checkpoints: readonly Checkpoint[],
  chosen: Pick<Checkpoint, 'id' | 'atMs'> | null,
): Checkpoint | null {
  if (chosen === null) return checkpoints[0] ?? null
  const same = checkpoints.find(({ id }) => id === chosen.id)
  return same ?? checkpoints.find(({ atMs }) => atMs <= chosen.atMs) ?? checkpoints.at(-1) ?? null
}

export interface KeptGuest {
  guestId: string
  /** As it is called now where it is in sight, else as it was called last. */
  name: string
  /** Where it is in sight; null after its PC was lost, or while it is away. */
  guest: Guest | null
  newest: Checkpoint
  count: number
}

/** Every guest of the vault, the one with the newest checkpoint first. */
export function keptGuests(checkpoints: readonly Checkpoint[], guests: readonly Guest[]): KeptGuest[] {
  const kept = new Map<string, KeptGuest>()
  for (const checkpoint of checkpoints) {
    const { guestId } = checkpoint
    const known = kept.get(guestId)
    if (known !== undefined) {
      known.count += 1
      continue
    }
    const guest = findGuest(guests, guestId)
    kept.set(guestId, {
      guestId,
      name: guest?.name ?? checkpoint.guestName,
      guest,
      newest: checkpoint,
      count: 1,
    })
  }
  return [...kept.values()]
}
