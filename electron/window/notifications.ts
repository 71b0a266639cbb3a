/** Shows notices on the desktop while nobody looks at the window; the page tells the rest itself. */
import type { Notification } from 'electron'
import type { StateListener } from './host-follower.ts'
import { noticesBetween } from './notices.ts'

export interface NotificationOptions {
  isLookedAt(): boolean
  /** Shows a view of the page. */
  show(route: string): void
}

export function notifyDesktop(
  notification: typeof Notification,
  options: NotificationOptions,
): StateListener {
  // Electron forgets a notification that nobody holds, and its click with it.
  const shown = new Set<Notification>()
  return (after, before) => {
    if (options.isLookedAt() || !notification.isSupported()) return
    for (const notice of noticesBetween(before, after)) {
      const item = new notification({
        title: notice.title,
        body: notice.body,
        urgency: notice.urgent ? 'critical' : 'normal',
      })
      shown.add(item)
      item.on('click', () => {
        shown.delete(item)
        options.show(notice.route)
      })
      item.on('close', () => shown.delete(item))
      item.show()
    }
  }
}
