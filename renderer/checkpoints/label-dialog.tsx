/** What a checkpoint is called, and what its maker wants to remember about it. */
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { Button } from '../kit/button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { FormDialog } from '../kit/form-dialog.tsx'
import { TextArea } from '../kit/text-area.tsx'
import { TextField } from '../kit/text-field.tsx'
import { momentWords } from '../model/dates.ts'
import { useActions } from '../state/app-context.tsx'
import { checkpointKey } from '../state/checkpoint-actions.ts'
import { usePending } from '../state/ui-store.ts'

export function LabelDialog({ checkpoint, onClose }: { checkpoint: Checkpoint; onClose: () => void }) {
  const actions = useActions()
  const pending = usePending(checkpointKey(checkpoint.id))
  const [name, setName] = useState(checkpoint.label.name)
  const [note, setNote] = useState(checkpoint.label.note)
  const [error, setError] = useState<ErrorShape | null>(null)
  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    const failure = await actions.relabel(checkpoint, { name: name.trim(), note: note.trim() })
    if (failure === null) onClose()
    else setError(failure)
  }
  return (
    <FormDialog title="Name and note" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <TextField
          label="Name"
          value={name}
          onChange={setName}
          maxLength={80}
          placeholder="for example: Before the update"
          hint={`Without one it is called by its time: ${momentWords(checkpoint.atMs, Date.now())}.`}
        />
        <TextArea label="Note" value={note} onChange={setNote} maxLength={2000} />
        {error !== null && <ErrorNotice error={error} />}
        <div className="dialog__buttons">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={pending}>
            Save
          </Button>
        </div>
      </form>
    </FormDialog>
  )
}
