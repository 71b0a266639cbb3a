/** What a checkpoint is called, and what its maker wants to remember about it: of one that is there, or of a new one. */
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Checkpoint, CheckpointLabel } from '../../shared/models/checkpoint.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { Button } from '../kit/button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { FormDialog } from '../kit/form-dialog.tsx'
import { TextArea } from '../kit/text-area.tsx'
import { TextField } from '../kit/text-field.tsx'
import { momentWords } from '../model/dates.ts'
import { useActions } from '../state/app-context.tsx'
import { checkpointKey, makeKey } from '../state/checkpoint-actions.ts'
import { usePending } from '../state/ui-store.ts'

type Words = Pick<CheckpointLabel, 'name' | 'note'>

export function LabelDialog({ checkpoint, onClose }: { checkpoint: Checkpoint; onClose: () => void }) {
  const actions = useActions()
  return (
    <FormDialog title="Name and note" onClose={onClose}>
      <LabelForm
        before={checkpoint.label}
        hint={`Without one it is called by its time: ${momentWords(checkpoint.atMs, Date.now())}.`}
        confirm="Save"
        pendingKey={checkpointKey(checkpoint.id)}
        save={(words) => actions.relabel(checkpoint, words)}
        onClose={onClose}
      />
    </FormDialog>
  )
}

/** For who knows the name beforehand. The guest is kept as it is when the form is sent, not when it was opened. */
export function MakeNamedDialog({ guest, onClose }: { guest: Guest; onClose: () => void }) {
  const actions = useActions()
  return (
    <FormDialog title={`Checkpoint of ${guest.name}`} onClose={onClose}>
      <LabelForm
        before={{ name: '', note: '' }}
        hint="It can be changed later. Without one the checkpoint is called by its time."
        confirm="Make the checkpoint"
        pendingKey={makeKey(guest.id)}
        save={(words) => actions.makeNamedCheckpoint(guest, words)}
        onClose={onClose}
      />
    </FormDialog>
  )
}

interface LabelFormProps {
  before: Words
  /** What happens without a name. */
  hint: string
  confirm: string
  pendingKey: string
  save: (words: Words) => Promise<ErrorShape | null>
  onClose: () => void
}

function LabelForm({ before, hint, confirm, pendingKey, save, onClose }: LabelFormProps) {
  const pending = usePending(pendingKey)
  const [name, setName] = useState(before.name)
  const [note, setNote] = useState(before.note)
  const [error, setError] = useState<ErrorShape | null>(null)
  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (pending) return
    const failure = await save({ name: name.trim(), note: note.trim() })
    if (failure === null) onClose()
    else setError(failure)
  }
  return (
    <form onSubmit={(event) => void submit(event)}>
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        maxLength={80}
        placeholder="for example: Before the update"
        hint={hint}
      />
      <TextArea label="Note" value={note} onChange={setNote} maxLength={2000} />
      {error !== null && <ErrorNotice error={error} />}
      <div className="dialog__buttons">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" look="primary" disabled={pending}>
          {confirm}
        </Button>
      </div>
    </form>
  )
}
