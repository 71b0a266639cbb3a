/** The shell: the bar with the ways to every view, what must be said on all of them, and the view itself. */
import { CSPProvider } from '@base-ui/react/csp-provider'
import { useEffect } from 'react'
import { assertNever } from '../shared/assert-never.ts'
import { AwayBanner, Opening } from './away.tsx'
import { CheckpointsPage } from './checkpoints/checkpoints-page.tsx'
import { KeptGuestPage } from './checkpoints/kept-guest-page.tsx'
import { DeskPage } from './desk/desk-page.tsx'
import { GuestPage } from './guest/guest-page.tsx'
import { keepFocus } from './kit/keep-focus.ts'
import { Toasts } from './kit/toasts.tsx'
import { ReceivePage } from './lending/receive-page.tsx'
import { Logo } from './logo.tsx'
import { MigrationPage } from './migration/migration-page.tsx'
import { vaultWantsAttention } from './model/checkpoint-words.ts'
import { pairingAnnouncement } from './model/pairing-words.ts'
import { announcement, isNews } from './model/work-words.ts'
import { MovesPage } from './moves/moves-page.tsx'
import { NewGuestPage } from './new-guest/new-guest-page.tsx'
import { PairPage } from './pairing/pair-page.tsx'
import { PairingTray } from './pairing/pairing-panel.tsx'
import { OpenQuestion } from './questions.tsx'
import { SettingsPage } from './settings/settings-page.tsx'
import { AppContext, type App as AppParts, useHasState, useHost } from './state/app-context.tsx'
import { type Route, routeHref, useRoute } from './state/route.ts'
import { applyTheme } from './state/theme.ts'
import { VaultPage } from './vault/vault-page.tsx'

export function App({ app }: { app: AppParts }) {
  useEffect(keepFocus, [])
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
      <TopBar route={route} ready={ready} />
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
    case 'moves':
      return <MovesPage />
    case 'checkpoints':
      return route.guestId === null ? (
        <CheckpointsPage />
      ) : (
        <KeptGuestPage key={route.guestId} guestId={route.guestId} />
      )
    case 'vault':
      return <VaultPage />
    case 'receive':
      return <ReceivePage link={route.link} />
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

const places: readonly { name: string; route: Route; kinds: readonly Route['kind'][] }[] = [
  { name: 'Desk', route: { kind: 'desk' }, kinds: ['desk'] },
  {
    name: 'Checkpoints',
    route: { kind: 'checkpoints', guestId: null },
    kinds: ['checkpoints', 'vault', 'receive'],
  },
  { name: 'Moves', route: { kind: 'moves' }, kinds: ['moves', 'migration'] },
  { name: 'Settings', route: { kind: 'settings' }, kinds: ['settings'] },
]

function TopBar({ route, ready }: { route: Route; ready: boolean }) {
  return (
    <header className="topbar">
      <a className="topbar__brand" href="#/" aria-label="Wireless Dock+, to the desk">
        <Logo />
        <span>Wireless Dock+</span>
      </a>
      <nav aria-label="Views">
        {places.map(({ name, route: to, kinds }) => (
          <a
            key={name}
            className="topbar__link"
            href={routeHref(to)}
            aria-current={kinds.includes(route.kind) ? 'page' : undefined}
          >
            {name}
            {to.kind === 'checkpoints' && ready && <AttentionDot />}
          </a>
        ))}
      </nav>
    </header>
  )
}

/** Something about the vault wants a person: the page behind the link says what. */
function AttentionDot() {
  const wanted = useHost((state) => vaultWantsAttention(state.vault))
  if (!wanted) return null
  return (
    <span className="topbar__dot">
      <span className="visually-hidden"> (something to do)</span>
    </span>
  )
}

/** News for screen readers. */
function Announcer() {
  const work = useHost((state) => state.operations.filter(isNews).map(announcement).join(' '))
  const pairing = useHost((state) => state.pairings.map(pairingAnnouncement).join(' '))
  return (
    <div className="visually-hidden">
      <p role="status">{work}</p>
      <p role="status">{pairing}</p>
    </div>
  )
}
