/**
 * Says that the app goes on behind its closed window: once in the life of an installation, since from then on the
 * person knows. What cannot be shown is tried again at the next close.
 */
import type { Notification } from 'electron'
import { z } from 'zod'
import { readJson, writeJsonAtomic } from '../platform/atomic-file.ts'
import type { Log } from '../platform/log.ts'

export interface FirstCloseOptions {
  /** Remembers that it has been said. */
  toldPath: string
  /** Shows a view of the page. */
  show(route: string): void
  log: Log
}

const told = z.object({ version: z.literal(1), goesOn: z.boolean() })

export const firstCloseWords = {
  title: 'Wireless Dock+ goes on',
  body: 'Other PCs can still reach this one. Start it again to see its window. To end it, or to let closing end it, click here for the settings.',
} as const

/** @returns what to call when the window has been hidden by a person */
export function firstCloseNotice(notification: typeof Notification, options: FirstCloseOptions): () => void {
  // Electron forgets a notification that nobody holds, and its click with it.
  let shown: Notification | null = null
  const tell = async (): Promise<void> => {
    if (shown !== null || !notification.isSupported()) return
    const before = await readJson(options.toldPath, told).catch(() => null)
    if (before?.goesOn === true || shown !== null) return
    shown = new notification(firstCloseWords)
    shown.on('click', () => options.show('#/settings'))
    shown.show()
    await writeJsonAtomic(options.toldPath, { version: 1, goesOn: true })
  }
  return () => {
    tell().catch((error: unknown) => options.log.warn('first close not remembered', { error }))
  }
}
