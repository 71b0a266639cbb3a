/**
 * A guest whose handover was cut at its most delicate moment. Calm first: it is safe and paused. Then the ways
 * out, the harmless one on top.
 */
import { LifeBuoy } from 'lucide-react'
import type { Guest, GuestState } from '../../shared/models/guest.ts'
import { Button } from '../kit/button.tsx'
import { useHost } from '../state/app-context.tsx'
import { ask, usePending } from '../state/ui-store.ts'

interface UnsettledProps {
  guest: Guest
  unsettled: Extract<GuestState, { kind: 'unsettled' }>
}

export function Unsettled({ guest, unsettled }: UnsettledProps) {
  const otherName = useHost(
    (state) => state.docks.find((dock) => dock.id === unsettled.otherDockId)?.name ?? 'the other PC',
  )
  const hereId = useHost((state) => state.info.dockId)
  const pending = usePending(`settle:${unsettled.migrationId}`)
  const question = { guest, migrationId: unsettled.migrationId, otherName }
  return (
    <section className="unsettled" aria-label="Its last move is not settled">
      <LifeBuoy size={22} aria-hidden />
      <div>
        <h2>Its last move is not settled</h2>
        <p>
          The link to {otherName} broke just as {guest.name} was handed over. Nothing is lost: it is paused,
          so that it can never run on two PCs at once.
        </p>
        <ul className="unsettled__ways">
          <li>
            <strong>Wait until both PCs meet (recommended).</strong> Bring {otherName} onto the same network.
            They find out where the guest belongs, and it runs on by itself.
          </li>
          {guest.dockId === hereId && (
            <li>
              <strong>Or decide by hand,</strong> if {otherName} will not come back.
              <div className="unsettled__buttons">
                <Button disabled={pending} onClick={() => ask({ kind: 'run-here', ...question })}>
                  Run it here anyway…
                </Button>
                <Button disabled={pending} onClick={() => ask({ kind: 'give-up-here', ...question })}>
                  Give up this copy…
                </Button>
              </div>
            </li>
          )}
        </ul>
      </div>
    </section>
  )
}
