/** What is said while the host does not answer: that guests run on is the host's promise, what to do is the error's. */
import { CloudOff } from 'lucide-react'
import { useLink } from './state/app-context.tsx'

/** Over a page that shows the last known state. */
export function AwayBanner() {
  const link = useLink()
  return (
    <div role="status">
      {link.kind === 'away' && (
        <p className="away">
          <CloudOff size={16} aria-hidden />
          <span>
            <strong>{link.error.message}</strong> {link.error.fix} Running guests go on.
          </span>
        </p>
      )}
    </div>
  )
}

/** In the place of the page, before the host has ever answered. */
export function Opening() {
  const link = useLink()
  return (
    <main className="opening" aria-label="Opening">
      {link.kind === 'away' ? (
        <div role="status">
          <p>
            <strong>{link.error.message}</strong>
          </p>
          <p>{link.error.fix}</p>
        </div>
      ) : (
        <p>Opening the desk …</p>
      )}
    </main>
  )
}
