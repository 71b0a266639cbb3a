/**
 * The secret by which a browser window may speak to the host. It comes in the address' fragment, which browsers
 * never send over the network; it is moved to the session's storage and taken out of the address bar at once.
 */

const storageKey = 'wdock.token'

/** Splits a fragment such as `#token=abc` or `#/history?token=abc`. @returns the token and the fragment without it */
export function splitToken(hash: string): { token: string | null; rest: string } {
  const match = /[#&?]token=([\w-]+)/.exec(hash)
  if (match === null) return { token: null, rest: hash }
  const rest = hash.replace(match[0], match[0].startsWith('#') ? '#' : '')
  return { token: match[1] ?? null, rest: rest === '#' ? '' : rest }
}

/** Takes the token out of the address bar, or remembers the one of this tab. */
export function takeToken(): string | null {
  const { token, rest } = splitToken(window.location.hash)
  if (token === null) return window.sessionStorage.getItem(storageKey)
  window.sessionStorage.setItem(storageKey, token)
  window.history.replaceState(null, '', `${window.location.pathname}${window.location.search}${rest}`)
  return token
}
