/**
 * Every view has an address in the fragment, so that links, the back button, tests and `wdock:` links reach it.
 * Unknown addresses show the desk.
 */
import { useSyncExternalStore } from 'react'

export const guestTabs = ['screen', 'details', 'moves', 'log'] as const
export type GuestTab = (typeof guestTabs)[number]

export type Route =
  | { kind: 'desk' }
  | { kind: 'guest'; dockId: string; guestId: string; tab: GuestTab }
  | { kind: 'migration'; id: string }
  | { kind: 'history' }
  | { kind: 'settings' }
  | { kind: 'pair'; id: string }
  | { kind: 'new' }

export function parseRoute(hash: string): Route {
  const [head = '', first = '', second = '', third = ''] = hash
    .replace(/^#?\/?/, '')
    .split('/')
    .map(decode)
  switch (head) {
    case 'guest':
      return first && second
        ? { kind: 'guest', dockId: first, guestId: second, tab: toTab(third) }
        : { kind: 'desk' }
    case 'migration':
      return first ? { kind: 'migration', id: first } : { kind: 'history' }
    case 'pair':
      return first ? { kind: 'pair', id: first } : { kind: 'desk' }
    case 'history':
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
    default:
      return `#/${route.kind}`
  }
}

export function navigate(route: Route): void {
  window.location.hash = routeHref(route)
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

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
