/**
 * The button of the product. Pointing at it or focusing it shows what the move will take, in a line that is
 * always there; pressing it moves. What stands in the way is explained beside it by `BlockedPanel`.
 */
import { MonitorDown } from 'lucide-react'
import { useId } from 'react'
import type { MigrationCheck, MigrationRequest } from '../../shared/models/migration.ts'
import { Button } from '../kit/button.tsx'
import { estimateWords } from '../model/migration-words.ts'
import { moveKey } from '../state/actions.ts'
import { useActions, useClient } from '../state/app-context.tsx'
import { askCheck, useCheck } from '../state/checks.ts'
import { usePending } from '../state/ui-store.ts'

interface MoveButtonProps {
  request: MigrationRequest
  label: string
  disabled?: boolean
  /** What the line under the button says before anybody points at it. */
  hint: string
}

export function MoveButton({ request, label, hint, disabled = false }: MoveButtonProps) {
  const actions = useActions()
  const client = useClient()
  const check = useCheck(request)
  const pending = usePending(moveKey(request))
  const noteId = useId()
  const look = () => {
    if (disabled) return
    askCheck(client, request).catch(() => undefined)
  }
  return (
    <div className="move">
      <Button
        look="primary"
        className="move__button"
        icon={<MonitorDown size={17} aria-hidden />}
        aria-describedby={noteId}
        aria-busy={pending}
        disabled={disabled}
        onPointerEnter={look}
        onFocus={look}
        onClick={() => !pending && void actions.move(request)}
      >
        {label}
      </Button>
      <p id={noteId} className="move__note" aria-live="polite">
        {pending ? 'checking …' : noteWords(check, hint)}
      </p>
    </div>
  )
}

function noteWords(check: MigrationCheck | null, hint: string): string {
  if (check === null) return hint
  if (check.blockers.length > 0) return 'cannot move now – press to see why'
  const warning = check.warnings[0]?.message
  const estimate = check.estimate === null ? 'ready to move' : estimateWords(check.estimate)
  return warning === undefined ? estimate : `${estimate} · ${warning}`
}
