/**
 * Remembers where the window stood. Promises a window that can be seen: a place on a screen that is gone, or a
 * damaged file, gives the default.
 */
import { z } from 'zod'
import { readJson, writeJsonAtomic } from '../platform/atomic-file.ts'

const bounds = z.object({
  x: z.number().int(),
  y: z.number().int(),
  width: z.number().int().min(200).max(20_000),
  height: z.number().int().min(200).max(20_000),
})
export type Bounds = z.infer<typeof bounds>

const storedWindow = z.object({ version: z.literal(1), bounds, maximized: z.boolean() })

export interface WindowPlace {
  /** Without x and y the desktop chooses where. */
  bounds: { x?: number; y?: number; width: number; height: number }
  maximized: boolean
}

export const defaultPlace: WindowPlace = { bounds: { width: 1180, height: 780 }, maximized: false }

/** @param areas the work areas of the screens that are there now */
export async function loadPlace(path: string, areas: readonly Bounds[]): Promise<WindowPlace> {
  const stored = await readJson(path, storedWindow).catch(() => null)
  if (stored === null) return defaultPlace
  return fitPlace({ bounds: stored.bounds, maximized: stored.maximized }, areas)
}

export async function savePlace(path: string, place: { bounds: Bounds; maximized: boolean }): Promise<void> {
  await writeJsonAtomic(path, { version: 1, ...place })
}

/** Pure. Keeps the size, and the position only where enough of the title bar can be grabbed. */
export function fitPlace(
  place: { bounds: Bounds; maximized: boolean },
  areas: readonly Bounds[],
): WindowPlace {
  const grabPx = 100
  const { x, y, width, height } = place.bounds
  const visible = areas.some(
    (area) =>
      x + width >= area.x + grabPx &&
      x <= area.x + area.width - grabPx &&
      y >= area.y &&
      y <= area.y + area.height - grabPx,
  )
  return visible ? place : { bounds: { width, height }, maximized: place.maximized }
}
