/**
 * Back to a checkpoint: as the guest itself, whose present state is kept first, or as a copy beside it. Says what
 * either comes to before anything is done.
 */
import { CopyPlus, History } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { Button } from '../kit/button.tsx'
import { type Card, CardChoice } from '../kit/card-choice.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { FormDialog } from '../kit/form-dialog.tsx'
import { checkpointTitle, sameProblem } from '../model/checkpoint-words.ts'
import { findGuest } from '../model/desk-view.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { checkpointKey } from '../state/checkpoint-actions.ts'
import { navigate } from '../state/route.ts'
import { usePending } from '../state/ui-store.ts'

type As = 'same' | 'copy'

export function RestoreDialog({ checkpoint, onClose }: { checkpoint: Checkpoint; onClose: () => void }) {
  const actions = useActions()
  const pending = usePending(checkpointKey(checkpoint.id))
  const { isInSight, problem } = useSameGuest(checkpoint.guestId)
  const [as, setAs] = useState<As>(problem === null ? 'same' : 'copy')
  const [error, setError] = useState<ErrorShape | null>(null)
  const name = checkpoint.guestName
  const cards: readonly Card<As>[] = [
    {
      value: 'same',
      title: `As ${name}`,
      text: problem ?? (isInSight ? 'It goes back to this point.' : 'It runs on this PC from now on.'),
      icon: <History className="cards__icon" size={20} aria-hidden />,
      disabled: problem !== null,
    },
    {
      value: 'copy',
      title: 'As a copy',
      text: 'A new guest, with a network address of its own.',
      icon: <CopyPlus className="cards__icon" size={20} aria-hidden />,
    },
  ]
  async function restore(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (pending) return
    const failure = await actions.restore(checkpoint, as)
    if (failure !== null) return setError(failure)
    onClose()
    navigate({ kind: 'desk' })
  }
  return (
    <FormDialog title={`Restore “${checkpointTitle(checkpoint, Date.now())}”`} wide onClose={onClose}>
      <form onSubmit={(event) => void restore(event)}>
        <CardChoice label="How to restore it" value={as} cards={cards} onChange={setAs} />
        <Consequences checkpoint={checkpoint} as={as} isInSight={isInSight} />
        {error !== null && <ErrorNotice error={error} />}
        <div className="dialog__buttons">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={pending}>
            {as === 'same' ? 'Restore' : 'Restore a copy'}
          </Button>
        </div>
      </form>
    </FormDialog>
  )
}

function useSameGuest(guestId: string): { isInSight: boolean; problem: string | null } {
  const guest = useHost((state) => findGuest(state.guests, guestId))
  const hereId = useHost((state) => state.info.dockId)
  const dockName = useHost(({ docks }) => docks.find(({ id }) => id === guest?.dockId)?.name ?? 'another PC')
  return { isInSight: guest !== null, problem: sameProblem(guest, hereId, dockName) }
}

interface ConsequencesProps {
  checkpoint: Checkpoint
  as: As
  isInSight: boolean
}

function Consequences({ checkpoint, as, isInSight }: ConsequencesProps) {
  const { guestName, hasMemory } = checkpoint
  return (
    <ul className="points">
      {as === 'same' && isInSight && (
        <li>What it is now is kept as a checkpoint first, so you can come back to the present.</li>
      )}
      {as === 'same' && !isInSight && (
        <li>
          Do this only if {guestName} runs on no other PC any more: two of the same would get in each other’s
          way. Else make a copy.
        </li>
      )}
      {as === 'copy' && (
        <li>
          Both have the same secrets, such as keys and passwords: whoever can use the copy can use them.
          Change them in one of the two if that matters.
        </li>
      )}
      <li>
        {hasMemory
          ? 'It goes on just where it was, and its clock is set.'
          : 'It was switched off at that time: it starts anew from its disk.'}
      </li>
    </ul>
  )
}
