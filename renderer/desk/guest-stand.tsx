/** One guest on a desk: its picture standing on the board, its label and its buttons under it. */
import { CircleAlert, Play } from 'lucide-react'
import { type KeyboardEvent, memo, useRef } from 'react'
import { assertNever } from '../../shared/assert-never.ts'
import type { Dock } from '../../shared/models/dock.ts'
import type { Guest, GuestState } from '../../shared/models/guest.ts'
import type { MigrationRequest } from '../../shared/models/migration.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { guestStateWord, warmWords } from '../../shared/words.ts'
import { Button, buttonClass } from '../kit/button.tsx'
import { ErrorDetail } from '../kit/error-notice.tsx'
import { StateLine } from '../kit/state-line.tsx'
import { isUnderWay, type Stand } from '../model/desk-view.ts'
import { acceleratorWord, hasLiveScreen, mayMove, stateTone, troubleOf } from '../model/guest-words.ts'
import { doneShare } from '../model/migration-words.ts'
import { guestKey } from '../state/actions.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { useBlocked, usePending } from '../state/ui-store.ts'
import { BlockedPanel } from './blocked-panel.tsx'
import { dragHandlers } from './drag.ts'
import { GuestMenu } from './guest-menu.tsx'
import { GuestPicture, RestoringPicture } from './guest-picture.tsx'
import { MoveButton } from './move-button.tsx'
import { EndedLine, WorkLines } from './work-lines.tsx'

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

const noDocks: readonly Dock[] = []

export const GuestStand = memo(function GuestStand(props: GuestStandProps) {
  const { guest, part, operation, isHere, here } = props
  const anchor = useRef<HTMLDivElement>(null)
  const blocked = useBlocked(guest.id, guest.dockId)
  const pull: MigrationRequest = { guestId: guest.id, fromDockId: guest.dockId, toDockId: here.id }
  const actions = useActions()
  const movable = part === 'standing' && mayMove(guest)
  function onKey(event: KeyboardEvent): void {
    if (event.key.toLowerCase() !== 'm' || event.ctrlKey || event.metaKey || event.altKey) return
    if (movable && !isHere) void actions.move(pull)
  }
  const targetName = blocked === null ? '' : nameOf(blocked.request.toDockId, here, props.targets)
  return (
    <article className={`stand stand--${part}`} aria-label={guest.name}>
      <a
        className="stand__place"
        href={screenHref(guest)}
        aria-label={`Open ${guest.name}`}
        aria-keyshortcuts={isHere ? undefined : 'm'}
        onKeyDown={onKey}
        {...dragHandlers(guest, movable)}
      >
        <StandPicture guest={guest} part={part} operation={operation} />
      </a>
      <div className="stand__board" aria-hidden />
      <div className="stand__label" ref={anchor}>
        <div className="stand__head">
          <h3 className="stand__name" title={guest.name}>
            {guest.name}
          </h3>
          {part === 'standing' && (
            <GuestMenu guest={guest} isHere={isHere} targets={isHere ? props.targets : noDocks} />
          )}
        </div>
        <StandState {...props} />
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

/** A guest on its way here, from another PC or from the vault, fills up; any other shows its screen. */
function StandPicture({ guest, part, operation }: Pick<GuestStandProps, 'guest' | 'part' | 'operation'>) {
  const share = operation === null ? null : (doneShare(operation.progress) ?? 0)
  if (isBeingRestored(guest, operation) && operation?.work.kind === 'restore') {
    return <RestoringPicture checkpointId={operation.work.checkpointId} share={share ?? 0} />
  }
  return <GuestPicture guest={guest} fill={part === 'arriving' ? share : null} />
}

/** Until it runs; the rest of it may still be fetched then. */
function isBeingRestored(guest: Guest, operation: Operation | null): boolean {
  if (operation?.work.kind !== 'restore' || !isUnderWay(operation)) return false
  return operation.work.phase !== 'keeping-present' && !hasLiveScreen(guest.state)
}

function StandState({ guest, part, operation, otherName }: GuestStandProps) {
  switch (part) {
    case 'standing': {
      if (isBeingRestored(guest, operation)) {
        return <StateLine guest={guest} word="being restored" tone="waiting" />
      }
      return <StateLine guest={guest} word={guestStateWord(guest.state)} tone={stateTone(guest.state)} />
    }
    case 'leaving':
      return <StateLine guest={guest} word={`moving to ${otherName}`} tone="waiting" />
    case 'arriving':
      return <StateLine guest={guest} word={`coming from ${otherName}`} tone="waiting" brief />
    default:
      return assertNever(part)
  }
}

function Below(props: GuestStandProps & { pull: MigrationRequest }) {
  const { guest, part, operation } = props
  if (part === 'leaving') return <LeavingHint operation={operation} />
  if (part === 'arriving' && operation === null) return <p className="stand__hint">getting ready …</p>
  if (operation !== null && isUnderWay(operation)) return <WorkLines operation={operation} />
  if (guest.state.kind === 'unsettled') return <UnsettledHint guest={guest} />
  return (
    <>
      {props.isHere ? <HereButton guest={guest} quiet={operation !== null} /> : <PullButton {...props} />}
      <TroubleHint state={guest.state} />
      {operation !== null && <EndedLine operation={operation} />}
    </>
  )
}

function LeavingHint({ operation }: { operation: Operation | null }) {
  const share = operation === null ? null : doneShare(operation.progress)
  return (
    <p className="stand__hint">
      still runs here{share === null ? '' : ` · ${Math.round(share * 100)} % there`}
    </p>
  )
}

function PullButton({ guest, pull }: { guest: Guest; pull: MigrationRequest }) {
  const warmth = useHost(({ warmths }) =>
    warmths.find((each) => each.guestId === guest.id && each.toDockId === pull.toDockId),
  )
  return (
    <MoveButton
      request={pull}
      label="Migrate to this PC"
      disabled={!mayMove(guest)}
      hint={warmth === undefined ? acceleratorWord(guest.accelerator) : warmWords(warmth.state)}
    />
  )
}

/** @param quiet leaves the hint out, where other news stands below */
function HereButton({ guest, quiet }: { guest: Guest; quiet: boolean }) {
  const actions = useActions()
  const pending = usePending(guestKey(guest.id))
  const kind = guest.state.kind
  const wake = kind === 'paused' ? 'resume' : 'start'
  const asleep = kind === 'paused' || kind === 'stopped' || kind === 'failed'
  return (
    <div className="move">
      {asleep ? (
        <Button
          icon={<Play size={15} aria-hidden />}
          disabled={pending || guest.operationId !== null}
          onClick={() => void actions.command(guest, wake)}
        >
          {wake === 'resume' ? 'Resume' : 'Start'}
        </Button>
      ) : (
        <a className={buttonClass('plain')} href={screenHref(guest)}>
          Open
        </a>
      )}
      {!quiet && troubleOf(guest.state) === null && (
        <p className="move__note move__note--short">{acceleratorWord(guest.accelerator)}</p>
      )}
    </div>
  )
}

function UnsettledHint({ guest }: { guest: Guest }) {
  return (
    <div className="stand__trouble">
      <p>
        <CircleAlert size={15} aria-hidden /> Its last move was cut at the handover. It is safe and paused.
      </p>
      <a className={buttonClass('plain', true)} href={screenHref(guest)}>
        See what to do
      </a>
    </div>
  )
}

/** What stopped it, and for one that waits for a person, what to do. */
function TroubleHint({ state }: { state: GuestState }) {
  const trouble = troubleOf(state)
  if (trouble === null) return null
  return (
    <div className="stand__trouble">
      <p>
        {state.kind === 'paused' && <CircleAlert size={15} aria-hidden />} {trouble.message}
      </p>
      {state.kind === 'paused' && <p>{trouble.fix}</p>}
      <ErrorDetail detail={trouble.detail} />
    </div>
  )
}

function screenHref(guest: Guest): string {
  return routeHref({ kind: 'guest', dockId: guest.dockId, guestId: guest.id, tab: 'screen' })
}
