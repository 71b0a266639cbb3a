/** A PC that was seen on the network but is not trusted yet: one button away from it. */
import { Link2 } from 'lucide-react'
import type { Dock } from '../../shared/models/dock.ts'
import { Button } from '../kit/button.tsx'
import { Ago } from '../kit/ticking.tsx'
import { useActions } from '../state/app-context.tsx'
import { usePending } from '../state/ui-store.ts'

export function NearbyDock({ dock, busy }: { dock: Dock; busy: boolean }) {
  const actions = useActions()
  const pending = usePending(`pair:${dock.id}`)
  const offline = dock.presence.kind === 'offline'
  return (
    <section className={`desk desk--stranger${offline ? ' desk--away' : ''}`} aria-label={dock.name}>
      <div className="desk__title">
        <h2>{dock.name}</h2>
        <p className="desk__facts">
          {dock.presence.kind === 'offline' && dock.presence.lastSeenAtMs !== null ? (
            <>
              last seen <Ago atMs={dock.presence.lastSeenAtMs} />
            </>
          ) : (
            `not paired yet${dock.address === null ? '' : ` · ${dock.address}`}`
          )}
        </p>
      </div>
      {!offline && (
        <Button
          icon={<Link2 size={16} aria-hidden />}
          disabled={pending || busy}
          onClick={() => void actions.pair(dock.id)}
        >
          Pair
        </Button>
      )}
    </section>
  )
}
