/** Work under way with a guest and how it ended: lines under it, never a dialog. */
import { CircleCheck, CircleX, TriangleAlert, X } from 'lucide-react'
import type { ReactNode } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { amountWords, paceWords } from '../../shared/words.ts'
import { Button, IconButton } from '../kit/button.tsx'
import { ErrorText } from '../kit/error-notice.tsx'
import { ProgressBar } from '../kit/progress-bar.tsx'
import { doneShare, movedWords, stayedWords } from '../model/migration-words.ts'
import { endedWords, failedHead, workWords } from '../model/work-words.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { ask, usePending } from '../state/ui-store.ts'

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
  const { label, phase, aside, note } = workWords(operation)
  // Nothing has begun to flow yet: a zero of nothing says nothing.
  const isEmpty = progress.doneBytes === 0 && progress.totalBytes === null
  const amount = isEmpty ? '' : amountWords(progress)
  const isWaiting = work.kind === 'restore' && work.phase === 'waiting'
  const pace = isWaiting ? '' : paceWords(progress)
  return (
    <div className="moving">
      <ProgressBar
        label={label}
        share={doneShare(progress)}
        words={[phase, amount].filter((part) => part !== '').join(', ')}
      />
      <div className="moving__line">
        <p className="moving__phase">
          {work.kind === 'migration' ? (
            <a href={routeHref({ kind: 'migration', id: operation.id })}>{phase}</a>
          ) : (
            phase
          )}
        </p>
        <CancelButton operation={operation} />
      </div>
      {note !== null && (
        <p className={isWaiting ? 'moving__note moving__note--waiting' : 'moving__note'}>{note}</p>
      )}
      <p className="moving__pace">
        <span className="moving__part">{[amount, aside].filter(Boolean).join(' · ')}</span>
        <span className="moving__part">{pace}</span>
      </p>
    </div>
  )
}

/** How the last move, checkpoint or restore ended, until somebody takes it off. */
export function EndedLine({ operation }: { operation: Operation }) {
  const { state, work } = operation
  switch (state.kind) {
    case 'done':
      return (
        <Ended operation={operation} tone="good" icon={<CircleCheck size={16} aria-hidden />}>
          {work.kind === 'migration' ? (
            <>
              {movedWords(work.result)} ·{' '}
              <a href={routeHref({ kind: 'migration', id: operation.id })}>details</a>
            </>
          ) : (
            <p>{endedWords(operation)}</p>
          )}
          {work.kind === 'checkpoint' && work.reason === 'person' && <NameIt id={work.checkpointId} />}
        </Ended>
      )
    case 'cancelled':
      return (
        <Ended operation={operation} tone="calm" icon={<CircleX size={16} aria-hidden />}>
          {endedWords(operation) ?? 'Move cancelled. It runs on where it was.'}
        </Ended>
      )
    case 'failed':
      return (
        <Ended operation={operation} tone="bad" icon={<TriangleAlert size={16} aria-hidden />}>
          {work.kind === 'migration' ? (
            <Stayed error={state.error} fromDockId={work.fromDockId} />
          ) : (
            <p className="ended__head">{failedHead(operation)}</p>
          )}
          <ErrorText error={state.error} />
        </Ended>
      )
    default:
      return null
  }
}

/** The first moment in which a new checkpoint can be named; nothing where it has a name, or is gone. */
function NameIt({ id }: { id: string }) {
  const made = useHost(({ checkpoints }) => checkpoints.find((each) => each.id === id) ?? null)
  if (made === null || made.label.name !== '') return null
  return (
    <Button small onClick={() => ask({ kind: 'relabel', checkpoint: made })}>
      Name it…
    </Button>
  )
}

function Stayed({ error, fromDockId }: { error: ErrorShape; fromDockId: string }) {
  const fromName = useHost(({ docks }) => docks.find((dock) => dock.id === fromDockId)?.name ?? 'its PC')
  const words = stayedWords(error, fromName)
  return words === null ? null : <p className="ended__head">{words}</p>
}

interface EndedProps {
  operation: Operation
  tone: 'good' | 'calm' | 'bad'
  icon: ReactNode
  children: ReactNode
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
