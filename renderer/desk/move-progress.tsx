/** A move under way and how it ended: lines under a guest, never a dialog. */
import { CircleCheck, CircleX, TriangleAlert, X } from 'lucide-react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { amountWords, paceWords, phaseWord } from '../../shared/words.ts'
import { Button, IconButton } from '../kit/button.tsx'
import { ErrorText } from '../kit/error-notice.tsx'
import { ProgressBar } from '../kit/progress-bar.tsx'
import { doneShare, movedWords, stayedWords } from '../model/migration-words.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { usePending } from '../state/ui-store.ts'

export function CancelButton({ operation }: { operation: Operation }) {
  const actions = useActions()
  const pending = usePending(`cancel:${operation.id}`)
  const { state } = operation
  if (state.kind === 'cancelling') return <span className="moving__late">cancelling …</span>
  if (state.kind !== 'running') return null
  if (!state.cancellable) return <span className="moving__late">too late to cancel</span>
  return (
    <Button small disabled={pending} onClick={() => void actions.cancel(operation.id)}>
      Cancel
    </Button>
  )
}

/** Phase, amount, pace and Cancel of whatever is under way. */
export function WorkLines({ operation }: { operation: Operation }) {
  const { work, progress } = operation
  const word = work.kind === 'migration' ? phaseWord(work.phase) : 'preparing its disk'
  const slowed = work.kind === 'migration' && work.throttlePercent > 0 ? ' · slowing the guest' : ''
  const amount = amountWords(progress)
  const pace = paceWords(progress)
  return (
    <div className="moving">
      <ProgressBar
        label={
          work.kind === 'migration' ? `Moving ${operation.guestName}` : `Creating ${operation.guestName}`
        }
        share={doneShare(progress)}
        words={`${word}, ${amount}`}
      />
      <div className="moving__line">
        <p className="moving__phase">
          {work.kind === 'migration' ? (
            <a href={routeHref({ kind: 'migration', id: operation.id })}>{word}</a>
          ) : (
            word
          )}
        </p>
        <CancelButton operation={operation} />
      </div>
      <p className="moving__pace">
        {amount}
        {slowed}
        {pace !== '' && <br />}
        {pace}
      </p>
    </div>
  )
}

/** How the last move ended, until somebody takes it off. */
export function EndedLine({ operation }: { operation: Operation }) {
  const { state, work } = operation
  if (work.kind !== 'migration') return null
  if (state.kind === 'done') {
    return (
      <Ended operation={operation} tone="good" icon={<CircleCheck size={16} aria-hidden />}>
        {movedWords(work.result)} · <a href={routeHref({ kind: 'migration', id: operation.id })}>details</a>
      </Ended>
    )
  }
  if (state.kind === 'cancelled') {
    return (
      <Ended operation={operation} tone="calm" icon={<CircleX size={16} aria-hidden />}>
        Move cancelled. It runs on where it was.
      </Ended>
    )
  }
  if (state.kind === 'failed') {
    return (
      <Ended operation={operation} tone="bad" icon={<TriangleAlert size={16} aria-hidden />}>
        <Stayed error={state.error} fromDockId={work.fromDockId} />
        <ErrorText error={state.error} />
      </Ended>
    )
  }
  return null
}

function Stayed({ error, fromDockId }: { error: ErrorShape; fromDockId: string }) {
  const fromName = useHost(({ docks }) => docks.find((dock) => dock.id === fromDockId)?.name ?? 'its PC')
  const words = stayedWords(error, fromName)
  return words === null ? null : <p className="ended__head">{words}</p>
}

interface EndedProps {
  operation: Operation
  tone: 'good' | 'calm' | 'bad'
  icon: React.ReactNode
  children: React.ReactNode
}

function Ended({ operation, tone, icon, children }: EndedProps) {
  const actions = useActions()
  return (
    <div className={`ended ended--${tone}`}>
      {icon}
      <div className="ended__text">{children}</div>
      <IconButton label="Dismiss" onClick={() => void actions.dismiss(operation.id)}>
        <X size={14} aria-hidden />
      </IconButton>
    </div>
  )
}
