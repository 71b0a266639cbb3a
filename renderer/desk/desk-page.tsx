/** The main view: this PC's desk, the desks nearby beside it, and the guests where they run. */
import { useMemo } from 'react'
import type { Dock } from '../../shared/models/dock.ts'
import { Button } from '../kit/button.tsx'
import { type DeskModel, desksModel } from '../model/desk-view.ts'
import { demoGuest } from '../new-guest/draft.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { navigate, routeHref } from '../state/route.ts'
import { useTitle } from '../state/title.ts'
import { showError } from '../state/toasts.ts'
import { usePending } from '../state/ui-store.ts'
import { AddByAddress } from './add-by-address.tsx'
import { Desk } from './desk.tsx'
import { NearbyDock } from './nearby-dock.tsx'

export function DeskPage() {
  const state = useHost((whole) => whole)
  const { here, others } = useMemo(() => desksModel(state), [state])
  const targets = useMemo(
    () => state.docks.filter((dock) => dock.presence.kind === 'online' && dock.paired),
    [state.docks],
  )
  useTitle(state.settings.dockName)
  if (here === null) return null
  return (
    <main className="room" aria-label="Desk">
      <h1 className="visually-hidden">Desk</h1>
      <Desk
        desk={here}
        here={here.dock}
        targets={targets}
        empty={<NoGuests alone={state.guests.length === 0} />}
      />
      <aside className="nearby" aria-label="Nearby">
        <h2 className="nearby__title">Nearby</h2>
        {others.length === 0 && <NobodyNearby discovery={state.settings.discovery} />}
        {others.map((desk) => (
          <Other key={desk.dock.id} desk={desk} here={here.dock} targets={targets} />
        ))}
        <AddByAddress />
      </aside>
    </main>
  )
}

function Other({ desk, here, targets }: { desk: DeskModel; here: Dock; targets: readonly Dock[] }) {
  const busy = useHost((state) => state.pairings.some((pairing) => pairing.state.kind !== 'ended'))
  if (!desk.dock.paired) return <NearbyDock dock={desk.dock} busy={busy} />
  const empty =
    desk.dock.presence.kind === 'offline' ? (
      <p className="desk__quiet">Away. Its guests show up when it is back.</p>
    ) : (
      <p className="desk__quiet">No guest runs there. Send one from its menu, or carry its picture here.</p>
    )
  return <Desk desk={desk} here={here} targets={targets} empty={empty} />
}

/** @param alone no guest stands anywhere: creating one is then the thing to do */
function NoGuests({ alone }: { alone: boolean }) {
  const actions = useActions()
  const demoAvailable = useHost((state) => state.info.demoGuestAvailable)
  const pending = usePending('create')
  async function createDemo(): Promise<void> {
    const outcome = await actions.create(demoGuest)
    if ('error' in outcome) showError(outcome.error)
  }
  return (
    <div className="bare">
      <p className="bare__title">Nothing stands on this desk yet</p>
      <p className="desk__quiet">Create a guest here, or bring one over from a PC nearby.</p>
      <div className="empty__buttons">
        {demoAvailable && (
          <Button look={alone ? 'primary' : 'plain'} disabled={pending} onClick={() => void createDemo()}>
            Create a demo guest
          </Button>
        )}
        <Button
          look={alone && !demoAvailable ? 'primary' : 'plain'}
          onClick={() => navigate({ kind: 'new' })}
        >
          Create a guest …
        </Button>
      </div>
    </div>
  )
}

function NobodyNearby({ discovery }: { discovery: boolean }) {
  return (
    <div className="desk desk--stranger desk--hint">
      <p className="desk__quiet">
        {discovery
          ? 'No other PC seen yet. Start Wireless Dock+ on a PC in the same network; it shows up here within seconds.'
          : 'This PC does not look for others.'}
      </p>
      {!discovery && <a href={routeHref({ kind: 'settings' })}>Change this in the settings</a>}
    </div>
  )
}
