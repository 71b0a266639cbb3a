/** One guest on a desk: its picture standing on the board, its label and its buttons under it. */
import { CircleAlert, Play } from 'lucide-react'
import { type KeyboardEvent, memo, useRef } from 'react'
import type { Dock } from '../../shared/models/dock.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { MigrationRequest } from '../../shared/models/migration.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { Button, buttonClass } from '../kit/button.tsx'
import { ErrorDetail } from '../kit/error-notice.tsx'
import { Uptime } from '../kit/ticking.tsx'
import { isUnderWay, type Stand } from '../model/desk-view.ts'
import { acceleratorWord, mayMove, sizeWords, stateTone, stateWord } from '../model/guest-words.ts'
import { doneShare } from '../model/migration-words.ts'
import { guestKey } from '../state/actions.ts'
import { useActions } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { usePending, useUi } from '../state/ui-store.ts'
import { BlockedPanel } from './blocked-panel.tsx'
import { dragHandlers } from './drag.ts'
import { GuestMenu } from './guest-menu.tsx'
import { GuestPicture } from './guest-picture.tsx'
import { MoveButton } from './move-button.tsx'
import { EndedLine, WorkLines } from './move-progress.tsx'

interface GuestStandProps {
  guest: Guest
  part: Stand['part']
  operation: Operation | null
  isHere: boolean
  here: Dock
  /** The dock at the other end of its move, by name. */
  otherName: string
  /** Where a guest of this PC can be sent. */
  targets: readonly Dock[]
}

export const GuestStand = memo(function GuestStand(props: GuestStandProps) {
  const { guest, part, operation, isHere, here } = props
  const anchor = useRef<HTMLDivElement>(null)
  const blocked = useUi((ui) =>
    ui.blocked?.request.guestId === guest.id && ui.blocked.request.fromDockId === guest.dockId
      ? ui.blocked
      : null,
  )
  const pull: MigrationRequest = { guestId: guest.id, fromDockId: guest.dockId, toDockId: here.id }
  const actions = useActions()
  const movable = part === 'standing' && mayMove(guest)
  function onKey(event: KeyboardEvent): void {
    if (event.key.toLowerCase() !== 'm' || event.ctrlKey || event.metaKey || event.altKey) return
    if (movable && !isHere) void actions.move(pull)
  }
  const fill = part === 'arriving' && operation !== null ? (doneShare(operation.progress) ?? 0) : null
  const targetName = blocked === null ? '' : nameOf(blocked.request.toDockId, here, props.targets)
  return (
    <article className={`stand stand--${part}`} aria-label={guest.name}>
      <a
        className="stand__place"
        href={routeHref({ kind: 'guest', dockId: guest.dockId, guestId: guest.id, tab: 'screen' })}
        aria-label={`Open ${guest.name}`}
        aria-keyshortcuts={isHere ? undefined : 'm'}
        onKeyDown={onKey}
        {...dragHandlers(guest, movable)}
      >
        <GuestPicture guest={guest} fill={fill} />
      </a>
      <div className="stand__board" aria-hidden />
      <div className="stand__label" ref={anchor}>
        <h3 className="stand__name" title={guest.name}>
          {guest.name}
        </h3>
        <StateLine guest={guest} part={part} otherName={props.otherName} />
        <Below {...props} pull={pull} />
      </div>
      {blocked !== null && (
        <BlockedPanel blocked={blocked} guestName={guest.name} dockName={targetName} anchor={anchor} />
      )}
    </article>
  )
})

function nameOf(dockId: string, here: Dock, targets: readonly Dock[]): string {
  return [here, ...targets].find((dock) => dock.id === dockId)?.name ?? 'the other PC'
}

function StateLine({ guest, part, otherName }: { guest: Guest; part: Stand['part']; otherName: string }) {
  const word =
    part === 'leaving'
      ? `moving to ${otherName}`
      : part === 'arriving'
        ? `coming from ${otherName}`
        : stateWord(guest.state)
  return (
    <p className="stand__state">
      <span className={`dot dot--${part === 'standing' ? stateTone(guest.state) : 'waiting'}`} aria-hidden />
      {word} · {sizeWords(guest)}
      {part !== 'arriving' && guest.bootedAtMs !== null && (
        <>
          {' · '}
          <Uptime sinceMs={guest.bootedAtMs} />
        </>
      )}
    </p>
  )
}

function Below(props: GuestStandProps & { pull: MigrationRequest }) {
  const { guest, part, operation, isHere } = props
  if (part === 'leaving') {
    const share = operation === null ? null : doneShare(operation.progress)
    return (
      <p className="stand__hint">
        still runs here{share === null ? '' : ` · ${Math.round(share * 100)} % there`}
      </p>
    )
  }
  if (part === 'arriving') {
    return operation === null ? (
      <p className="stand__hint">getting ready …</p>
    ) : (
      <WorkLines operation={operation} />
    )
  }
  if (operation !== null && isUnderWay(operation)) return <WorkLines operation={operation} />
  return (
    <>
      {guest.state.kind === 'unsettled' ? (
        <UnsettledHint guest={guest} />
      ) : isHere ? (
        <HereButtons {...props} />
      ) : (
        <div className="stand__actions">
          <MoveButton
            request={props.pull}
            label={`Migrate to this PC`}
            disabled={!mayMove(guest)}
            hint={acceleratorWord(guest.accelerator)}
          />
          <GuestMenu guest={guest} isHere={false} targets={props.targets} />
        </div>
      )}
      {guest.state.kind === 'failed' && <FailedHint guest={guest} />}
      {operation !== null && <EndedLine operation={operation} />}
    </>
  )
}

function HereButtons({ guest, targets }: GuestStandProps) {
  const actions = useActions()
  const pending = usePending(guestKey(guest.id))
  const kind = guest.state.kind
  const wake = kind === 'paused' ? ('resume' as const) : ('start' as const)
  const asleep = kind === 'paused' || kind === 'stopped' || kind === 'failed'
  return (
    <>
      <div className="stand__actions">
        {asleep ? (
          <Button
            icon={<Play size={15} aria-hidden />}
            disabled={pending || guest.operationId !== null}
            onClick={() => void actions.command(guest, wake)}
          >
            {wake === 'resume' ? 'Resume' : 'Start'}
          </Button>
        ) : (
          <a
            className={buttonClass('plain')}
            href={routeHref({ kind: 'guest', dockId: guest.dockId, guestId: guest.id, tab: 'screen' })}
          >
            Open
          </a>
        )}
        <GuestMenu guest={guest} isHere targets={targets} />
      </div>
      <p className="stand__hint">{acceleratorWord(guest.accelerator)}</p>
    </>
  )
}

function UnsettledHint({ guest }: { guest: Guest }) {
  return (
    <div className="stand__trouble">
      <p>
        <CircleAlert size={15} aria-hidden /> Its last move was cut at the handover. It is safe and paused.
      </p>
      <a
        className={buttonClass('plain', true)}
        href={routeHref({ kind: 'guest', dockId: guest.dockId, guestId: guest.id, tab: 'screen' })}
      >
        See what to do
      </a>
    </div>
  )
}

function FailedHint({ guest }: { guest: Guest }) {
  if (guest.state.kind !== 'failed') return null
  return (
    <div className="stand__trouble">
      <p>{guest.state.error.message}</p>
      <ErrorDetail detail={guest.state.error.detail} />
    </div>
  )
}
