/** A desk: who it belongs to, the board with the guests on it, and what one can do with the PC itself. */
import { Plus } from 'lucide-react'
import type { ReactNode } from 'react'
import { formatMemory } from '../../shared/format.ts'
import type { Dock } from '../../shared/models/dock.ts'
import { buttonClass } from '../kit/button.tsx'
import { Ago } from '../kit/ticking.tsx'
import type { DeskModel, Stand } from '../model/desk-view.ts'
import { coresWord } from '../model/guest-words.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { type Blocked, useUi } from '../state/ui-store.ts'
import { BlockedNote } from './blocked-panel.tsx'
import { DockMenu } from './dock-menu.tsx'
import { dropHandlers, dropRequest } from './drag.ts'
import { GuestStand } from './guest-stand.tsx'
import { MissedStand } from './missed-stand.tsx'
import { WarmLines } from './warm-lines.tsx'

interface DeskProps {
  desk: DeskModel
  here: Dock
  /** Where a guest of this PC can be sent. */
  targets: readonly Dock[]
  /** Shown on the board when nothing stands there. */
  empty: ReactNode
}

export function Desk({ desk, here, targets, empty }: DeskProps) {
  const actions = useActions()
  const dragged = useUi((ui) => ui.dragged)
  const request = dropRequest(dragged, desk.dock, here.id)
  const { dock, stands, missed, isHere } = desk
  const strayId = useUi(({ blocked }) => strayGuest(blocked, desk))
  const away = dock.presence.kind === 'offline'
  return (
    <section
      className={`desk${isHere ? ' desk--here' : ''}${away ? ' desk--away' : ''}${request === null ? '' : ' desk--target'}`}
      aria-label={dock.name}
      {...dropHandlers(request, (drop) => void actions.move(drop))}
    >
      <DeskHead dock={dock} isHere={isHere} />
      {!isHere && <WarmLines dockId={dock.id} />}
      {strayId !== null && (
        <div className="desk__note">
          <BlockedNote guestId={strayId} />
        </div>
      )}
      {stands.length + missed.length === 0 ? (
        <>
          <div className="desk__plank" aria-hidden />
          <div className="desk__bare">{empty}</div>
        </>
      ) : (
        <div className="desk__board">
          {stands.map((stand) => (
            <StandOf key={stand.key} stand={stand} isHere={isHere} here={here} targets={targets} />
          ))}
          {missed.map((operation) => (
            <MissedStand key={operation.id} operation={operation} here={here} />
          ))}
        </div>
      )}
      {request !== null && (
        <p className="desk__drop" aria-hidden>
          Drop to move it to {isHere ? 'this PC' : dock.name}
        </p>
      )}
    </section>
  )
}

/** The guest of a wish to move that was told no on this desk, where it stands here no longer. */
function strayGuest(blocked: Blocked | null, { dock, stands, missed }: DeskModel): string | null {
  if (blocked === null || blocked.at !== dock.id) return null
  const { guestId } = blocked.request
  const isShown =
    stands.some(({ guest }) => guest.id === guestId) || missed.some((each) => each.guestId === guestId)
  return isShown ? null : guestId
}

interface StandOfProps {
  stand: Stand
  isHere: boolean
  here: Dock
  targets: readonly Dock[]
}

function StandOf({ stand, isHere, here, targets }: StandOfProps) {
  const otherId = otherEnd(stand)
  const otherName = useHost((state) => state.docks.find((dock) => dock.id === otherId)?.name ?? 'another PC')
  return (
    <GuestStand
      guest={stand.guest}
      part={stand.part}
      operation={stand.operation}
      isHere={isHere}
      here={here}
      otherName={otherName}
      targets={targets}
    />
  )
}

/** The dock at the other end of a guest's move. */
function otherEnd({ guest, part, operation }: Stand): string | null {
  const work = operation?.work
  if (work?.kind === 'migration') return part === 'leaving' ? work.toDockId : work.fromDockId
  return guest.state.kind === 'arriving' ? guest.state.fromDockId : null
}

function DeskHead({ dock, isHere }: { dock: Dock; isHere: boolean }) {
  return (
    <header className="desk__head">
      <div className="desk__title">
        <h2>{dock.name}</h2>
        {isHere && dock.name !== 'This PC' && <span className="desk__tag">this PC</span>}
        <p className="desk__facts">
          <DockFacts dock={dock} />
        </p>
      </div>
      {isHere ? (
        <a className={buttonClass('plain')} href={routeHref({ kind: 'new' })}>
          <Plus size={16} aria-hidden /> New guest
        </a>
      ) : (
        <DockMenu dock={dock} />
      )}
    </header>
  )
}

function DockFacts({ dock }: { dock: Dock }) {
  if (dock.presence.kind === 'offline') {
    return dock.presence.lastSeenAtMs === null ? (
      'not seen yet'
    ) : (
      <>
        last seen <Ago atMs={dock.presence.lastSeenAtMs} />
      </>
    )
  }
  const { capabilities } = dock
  if (capabilities === null)
    return dock.presence.kind === 'nearby' ? (dock.address ?? 'nearby') : 'getting to know it …'
  if (capabilities.qemuProblem !== null) return capabilities.qemuProblem
  const speed = capabilities.accelerator.kind === 'kvm' ? 'full speed (KVM)' : 'emulates'
  return `${coresWord(capabilities.cores)} · ${formatMemory(capabilities.memoryFreeBytes)} of ${formatMemory(capabilities.memoryBytes)} free · ${speed}`
}
