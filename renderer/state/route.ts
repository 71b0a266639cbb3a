/**
 * Every view has an address in the fragment, so that links, the back button, tests and `wdock:` links reach it.
 * Unknown addresses show the desk.
 */
import { useSyncExternalStore } from 'react'

export const guestTabs = ['screen', 'checkpoints', 'moves', 'details', 'log'] as const
export type GuestTab = (typeof guestTabs)[number]

export type Route =
  | { kind: 'desk' }
  | { kind: 'guest'; dockId: string; guestId: string; tab: GuestTab }
  | { kind: 'migration'; id: string }
  | { kind: 'moves' }
  /** All guests of the vault, or one of them, wherever it is now. */
  | { kind: 'checkpoints'; guestId: string | null }
  | { kind: 'vault' }
  /** `link` is one that was clicked; null where it is to be pasted. */
  | { kind: 'receive'; link: string | null }
  | { kind: 'settings' }
  | { kind: 'pair'; id: string }
  | { kind: 'new' }

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = splitOnce(hash.replace(/^#?\/?/, ''), '?')
  const [head = '', first = '', second = '', third = ''] = path.split('/').map(decode)
  switch (head) {
    case 'guest':
      return first && second
        ? { kind: 'guest', dockId: first, guestId: second, tab: toTab(third) }
        : { kind: 'desk' }
    case 'migration':
      return first ? { kind: 'migration', id: first } : { kind: 'moves' }
    case 'pair':
      return first ? { kind: 'pair', id: first } : { kind: 'desk' }
    case 'checkpoints':
      return { kind: 'checkpoints', guestId: first || null }
    case 'receive':
      return { kind: 'receive', link: new URLSearchParams(query).get('link') || null }
    // As it was called before there were checkpoints: links and menus may still say so.
    case 'history':
      return { kind: 'moves' }
    case 'moves':
    case 'vault':
    case 'settings':
    case 'new':
      return { kind: head }
    default:
      return { kind: 'desk' }
  }
}

export function routeHref(route: Route): string {
  switch (route.kind) {
    case 'desk':
      return '#/'
    case 'guest': {
      const tab = route.tab === 'screen' ? '' : `/${route.tab}`
      return `#/guest/${encodeURIComponent(route.dockId)}/${encodeURIComponent(route.guestId)}${tab}`
    }
    case 'migration':
    case 'pair':
      return `#/${route.kind}/${encodeURIComponent(route.id)}`
    case 'checkpoints':
      return route.guestId === null ? '#/checkpoints' : `#/checkpoints/${encodeURIComponent(route.guestId)}`
    case 'receive':
      return route.link === null ? '#/receive' : `#/receive?link=${encodeURIComponent(route.link)}`
    default:
      return `#/${route.kind}`
  }
}

export function navigate(route: Route): void {
  window.location.hash = routeHref(route)
}

/** Takes the secret of a link that was clicked out of the address, once the page has it. */
export function forgetLinkInAddress(): void {
  window.history.replaceState(null, '', routeHref({ kind: 'receive', link: null }))
}

export function useRoute(): Route {
  return parseRoute(useSyncExternalStore(subscribe, () => window.location.hash))
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('hashchange', listener)
  return () => window.removeEventListener('hashchange', listener)
}

function toTab(text: string): GuestTab {
  return guestTabs.find((tab) => tab === text) ?? 'screen'
}

function splitOnce(text: string, mark: string): string[] {
  const at = text.indexOf(mark)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
