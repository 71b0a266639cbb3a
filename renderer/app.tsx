/** The shell: the bar with the ways to every view, what must be said on all of them, and the view itself. */
import { CSPProvider } from '@base-ui/react/csp-provider'
import { useEffect } from 'react'
import { assertNever } from '../shared/assert-never.ts'
import { AwayBanner, Opening } from './away.tsx'
import { DeskPage } from './desk/desk-page.tsx'
import { GuestPage } from './guest/guest-page.tsx'
import { HistoryPage } from './history/history-page.tsx'
import { Toasts } from './kit/toasts.tsx'
import { Logo } from './logo.tsx'
import { MigrationPage } from './migration/migration-page.tsx'
import { announcement, isNews } from './model/migration-words.ts'
import { pairingAnnouncement } from './model/pairing-words.ts'
import { NewGuestPage } from './new-guest/new-guest-page.tsx'
import { PairPage } from './pairing/pair-page.tsx'
import { PairingTray } from './pairing/pairing-panel.tsx'
import { OpenQuestion } from './questions.tsx'
import { SettingsPage } from './settings/settings-page.tsx'
import { AppContext, type App as AppParts, useHasState, useHost } from './state/app-context.tsx'
import { type Route, routeHref, useRoute } from './state/route.ts'
import { applyTheme } from './state/theme.ts'

export function App({ app }: { app: AppParts }) {
  return (
    <CSPProvider disableStyleElements>
      <AppContext value={app}>
        <Shell />
      </AppContext>
    </CSPProvider>
  )
}

function Shell() {
  const route = useRoute()
  const ready = useHasState()
  return (
    <>
      <TopBar route={route} />
      {ready ? <Ready route={route} /> : <Opening />}
      <Toasts />
    </>
  )
}

function Ready({ route }: { route: Route }) {
  const theme = useHost((state) => state.settings.theme)
  useEffect(() => applyTheme(theme), [theme])
  return (
    <>
      <AwayBanner />
      <div className="tray">
        <PairingTray exceptId={route.kind === 'pair' ? route.id : null} />
      </div>
      <View route={route} />
      <Announcer />
      <OpenQuestion />
    </>
  )
}

function View({ route }: { route: Route }) {
  switch (route.kind) {
    case 'desk':
      return <DeskPage />
    case 'guest':
      return <GuestPage key={route.guestId} route={route} />
    case 'migration':
      return <MigrationPage id={route.id} />
    case 'history':
      return <HistoryPage />
    case 'settings':
      return <SettingsPage />
    case 'pair':
      return <PairPage id={route.id} />
    case 'new':
      return <NewGuestPage />
    default:
      return assertNever(route)
  }
}

const places = [
  { kind: 'desk', name: 'Desk' },
  { kind: 'history', name: 'History' },
  { kind: 'settings', name: 'Settings' },
] as const

function TopBar({ route }: { route: Route }) {
  return (
    <header className="topbar">
      <a className="topbar__brand" href="#/" aria-label="Wireless Dock+, to the desk">
        <Logo />
        <span>Wireless Dock+</span>
      </a>
      <nav aria-label="Views">
        {places.map(({ kind, name }) => (
          <a
            key={kind}
            className="topbar__link"
            href={routeHref({ kind })}
            aria-current={route.kind === kind ? 'page' : undefined}
          >
            {name}
          </a>
        ))}
      </nav>
    </header>
  )
}

/** News for screen readers. */
function Announcer() {
  const moves = useHost((state) => state.operations.filter(isNews).map(announcement).join(' '))
  const pairing = useHost((state) => state.pairings.map(pairingAnnouncement).join(' '))
  return (
    <div className="visually-hidden">
      <p role="status">{moves}</p>
      <p role="status">{pairing}</p>
    </div>
  )
}
