/** Light or dark: the person's setting, or else the desktop's. The choice stands as an attribute on the document. */
import type { HostSettings } from '../../shared/models/host-state.ts'

const darkQuery = '(prefers-color-scheme: dark)'
const changed = new EventTarget()

/** Sets the document's theme; `system` leaves it to the style sheet's media query. */
export function applyTheme(theme: HostSettings['theme']): void {
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
  changed.dispatchEvent(new Event('change'))
}

/** What is shown now. */
export function currentTheme(): 'light' | 'dark' {
  const chosen = document.documentElement.dataset.theme
  if (chosen === 'light' || chosen === 'dark') return chosen
  return window.matchMedia(darkQuery).matches ? 'dark' : 'light'
}

export function subscribeTheme(listener: () => void): () => void {
  const query = window.matchMedia(darkQuery)
  query.addEventListener('change', listener)
  changed.addEventListener('change', listener)
  return () => {
    query.removeEventListener('change', listener)
    changed.removeEventListener('change', listener)
  }
}
