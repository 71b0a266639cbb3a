/** The button that makes a checkpoint, at once or with a name; beside it its progress, and how it ended. */
import { Camera } from 'lucide-react'
import type { Guest } from '../../shared/models/guest.ts'
import { EndedLine, WorkLines } from '../desk/work-lines.tsx'
import { Button } from '../kit/button.tsx'
import { mayCheckpoint } from '../model/checkpoint-words.ts'
import { isUnderWay, latestOperations } from '../model/desk-view.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { makeKey } from '../state/checkpoint-actions.ts'
import { ask, usePending } from '../state/ui-store.ts'

export function CheckpointNow({ guest }: { guest: Guest }) {
  const actions = useActions()
  const pending = usePending(makeKey(guest.id))
  const operations = useHost((state) => state.operations)
  const latest = latestOperations(operations).get(guest.id)
  const own = latest?.work.kind === 'checkpoint' ? latest : null
  // One that is on its way into the vault holds its guest no more: the next may be made.
  const disabled = pending || !mayCheckpoint(guest)
  return (
    <div className="make">
      <div className="make__buttons">
        <Button
          look="primary"
          icon={<Camera size={16} aria-hidden />}
          disabled={disabled}
          onClick={() => void actions.makeCheckpoint(guest)}
        >
          Checkpoint now
        </Button>
        <Button disabled={disabled} onClick={() => ask({ kind: 'make-named', guest })}>
          With a name…
        </Button>
      </div>
      <div className="make__beside">
        {own === null && <p className="make__hint">{hintFor(guest)}</p>}
        {own !== null && (isUnderWay(own) ? <WorkLines operation={own} /> : <EndedLine operation={own} />)}
      </div>
    </div>
  )
}

function hintFor(guest: Guest): string {
  if (guest.operationId !== null) return 'Something else is under way with it. Wait for that first.'
  switch (guest.state.kind) {
    case 'running':
      return 'It runs on meanwhile.'
    case 'paused':
      return 'It stays paused.'
    case 'stopped':
      return 'It is off: only its disk is kept.'
    default:
      return 'Not possible right now.'
  }
}
