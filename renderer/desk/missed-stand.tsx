/**
 * A guest that was to come to this PC, from another one or from the vault, and did not: told where it would stand,
 * with why and what to do, until it is dismissed or tried again. Relies on nothing of the other PC, which may be away.
 */
import { TriangleAlert, X } from 'lucide-react'
import { useRef } from 'react'
import type { Dock } from '../../shared/models/dock.ts'
import type { MigrationRequest } from '../../shared/models/migration.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { Button, buttonClass, IconButton } from '../kit/button.tsx'
import { ErrorText } from '../kit/error-notice.tsx'
import { moveKey } from '../state/actions.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { useBlocked, usePending } from '../state/ui-store.ts'
import { BlockedPanel } from './blocked-panel.tsx'
import { UnpluggedMonitor } from './guest-picture.tsx'

export function MissedStand({ operation, here }: { operation: Operation; here: Dock }) {
  const { guestId, guestName, work, state } = operation
  const fromDockId = work.kind === 'migration' ? work.fromDockId : null
  const source = useHost(({ docks }) => docks.find((dock) => dock.id === fromDockId) ?? null)
  const anchor = useRef<HTMLDivElement>(null)
  const blocked = useBlocked(guestId, here.id)
  if (state.kind !== 'failed') return null
  const sourceName = source?.name ?? 'the other PC'
  return (
    <article className="stand stand--missed" aria-label={`${guestName} did not come`}>
      <div className="stand__place">
        <UnpluggedMonitor />
      </div>
      <div className="stand__board" aria-hidden />
      <div className="stand__label" ref={anchor}>
        <div className="stand__head">
          <h3 className="stand__name" title={guestName}>
            {guestName}
          </h3>
          <Dismiss operationId={operation.id} />
        </div>
        <p className="state-line">
          <span className="dot dot--trouble" aria-hidden />
          {fromDockId === null ? 'was not restored' : `did not come, stays on ${sourceName}`}
        </p>
        <div className="ended ended--bad">
          <TriangleAlert size={16} aria-hidden />
          <div className="ended__text">
            <ErrorText error={state.error} />
          </div>
        </div>
        {fromDockId === null ? (
          <ItsCheckpoints checkpointId={work.kind === 'restore' ? work.checkpointId : null} />
        ) : (
          <TryAgain request={{ guestId, fromDockId, toDockId: here.id }} at={here.id} source={source} />
        )}
      </div>
      {blocked !== null && (
        <BlockedPanel blocked={blocked} guestName={guestName} dockName={here.name} anchor={anchor} />
      )}
    </article>
  )
}

/** A copy has no checkpoints of its own yet: they are those of the guest it was made from. */
function ItsCheckpoints({ checkpointId }: { checkpointId: string | null }) {
  const guestId = useHost(
    ({ checkpoints }) => checkpoints.find(({ id }) => id === checkpointId)?.guestId ?? null,
  )
  return (
    <a className={buttonClass('plain', true)} href={routeHref({ kind: 'checkpoints', guestId })}>
      See its checkpoints
    </a>
  )
}

function Dismiss({ operationId }: { operationId: string }) {
  const actions = useActions()
  return (
    <IconButton label="Dismiss" onClick={() => void actions.dismiss(operationId)}>
      <X size={16} aria-hidden />
    </IconButton>
  )
}

interface TryAgainProps {
  request: MigrationRequest
  at: string
  /** Null when it is no longer known here. */
  source: Dock | null
}

function TryAgain({ request, at, source }: TryAgainProps) {
  const actions = useActions()
  const pending = usePending(moveKey(request))
  const isThere = source?.presence.kind === 'online' && source.paired
  return (
    <div className="move">
      <Button disabled={pending || !isThere} onClick={() => void actions.move(request, at)}>
        Try again
      </Button>
      <p className="move__note move__note--short" aria-live="polite">
        {!isThere && `when ${source?.name ?? 'the other PC'} is back`}
        {pending && 'checking …'}
      </p>
    </div>
  )
}
