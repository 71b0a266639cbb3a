/** The shell: the bar with the ways to every view, what must be said on all of them, and the view itself. */
import { CSPProvider } from '@base-ui/react/csp-provider'
import { CloudOff } from 'lucide-react'
import { useEffect } from 'react'
import { assertNever } from '../shared/assert-never.ts'
import { DeskPage } from './desk/desk-page.tsx'
import { GuestPage } from './guest/guest-page.tsx'
import { HistoryPage } from './history/history-page.tsx'
import { Toasts } from './kit/toasts.tsx'
import { Logo } from './logo.tsx'
import { MigrationPage } from './migration/migration-page.tsx'
import { announcement, isNews } from './model/migration-words.ts'
import { NewGuestPage } from './new-guest/new-guest-page.tsx'
import { PairPage } from './pairing/pair-page.tsx'
import { PairingTray } from './pairing/pairing-panel.tsx'
import { OpenQuestion } from './questions.tsx'
import { SettingsPage } from './settings/settings-page.tsx'
import { AppContext, type App as AppParts, useHasState, useHost, useLink } from './state/app-context.tsx'
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
      <AwayBanner />
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

function AwayBanner() {
  const link = useLink()
  return (
    <div role="status">
      {link.kind === 'away' && (
        <p className="away">
          <CloudOff size={16} aria-hidden /> Lost touch with the Wireless Dock+ service on this PC. Trying
          again…
        </p>
      )}
    </div>
  )
}

function Opening() {
  const link = useLink()
  return (
    <main className="opening" aria-label="Opening">
      {link.kind === 'away' ? (
        <p>
          Start it with <code>npm start</code> or <code>wdock agent</code>. This page goes on by itself.
        </p>
      ) : (
        <p>Opening the desk …</p>
      )}
    </main>
  )
}

/** News for screen readers. */
function Announcer() {
  const text = useHost((state) => state.operations.filter(isNews).map(announcement).join(' '))
  return (
    <p className="visually-hidden" role="status">
      {text}
    </p>
  )
}
