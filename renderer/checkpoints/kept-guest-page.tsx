/** The checkpoints of one guest of the vault, whether or not the guest still exists anywhere. */
import { useMemo } from 'react'
import { buttonClass } from '../kit/button.tsx'
import { Empty, Page } from '../kit/page.tsx'
import { keptGuests } from '../model/timeline.ts'
import { useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { GuestHistory } from './guest-history.tsx'
import { VaultNotices } from './vault-notices.tsx'
import { WhereNow } from './where-now.tsx'

const back = { href: routeHref({ kind: 'checkpoints', guestId: null }), name: 'Checkpoints' }

export function KeptGuestPage({ guestId }: { guestId: string }) {
  const checkpoints = useHost((state) => state.checkpoints)
  const guests = useHost((state) => state.guests)
  const kept = useMemo(
    () => keptGuests(checkpoints, guests).find((each) => each.guestId === guestId) ?? null,
    [checkpoints, guests, guestId],
  )
  const name = kept?.name ?? 'Checkpoints'
  return (
    <Page
      wide
      title={name}
      back={back}
      subtitle={
        kept !== null && (
          <p className="page__subtitle">
            <WhereNow guest={kept.guest} />
          </p>
        )
      }
      aside={
        kept?.guest != null && (
          <a
            className={buttonClass('plain')}
            href={routeHref({ kind: 'guest', dockId: kept.guest.dockId, guestId, tab: 'checkpoints' })}
          >
            Open the guest
          </a>
        )
      }
    >
      <VaultNotices />
      <GuestHistory
        guestId={guestId}
        guestName={name}
        empty={
          <Empty title="No checkpoint of this guest is in the vault">
            <p>They may have been deleted, or the vault is not open on this PC.</p>
          </Empty>
        }
      />
    </Page>
  )
}
