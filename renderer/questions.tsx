/** The one question that may be open: what to call something, what to do with a checkpoint, and whether one is sure. */
import { type FormEvent, useState } from 'react'
import { assertNever } from '../shared/assert-never.ts'
import type { ErrorShape } from '../shared/errors/index.ts'
import { type Guest, guestName } from '../shared/models/guest.ts'
import { LabelDialog, MakeNamedDialog } from './checkpoints/label-dialog.tsx'
import { RestoreDialog } from './checkpoints/restore-dialog.tsx'
import { Button } from './kit/button.tsx'
import { ConfirmDialog } from './kit/confirm-dialog.tsx'
import { ErrorNotice } from './kit/error-notice.tsx'
import { FormDialog } from './kit/form-dialog.tsx'
import { TextField } from './kit/text-field.tsx'
import { LendDialog } from './lending/lend-dialog.tsx'
import { questionWords, type YesNoQuestion } from './model/question-words.ts'
import type { Actions } from './state/actions.ts'
import { useActions, useHost } from './state/app-context.tsx'
import { ask, useUi } from './state/ui-store.ts'

const close = (): void => ask(null)

export function OpenQuestion() {
  const question = useUi((ui) => ui.question)
  if (question === null) return null
  switch (question.kind) {
    case 'rename':
      return <RenameDialog guest={question.guest} />
    case 'restore':
      return <RestoreDialog checkpoint={question.checkpoint} onClose={close} />
    case 'lend':
      return <LendDialog checkpoint={question.checkpoint} onClose={close} />
    case 'relabel':
      return <LabelDialog checkpoint={question.checkpoint} onClose={close} />
    case 'make-named':
      return <MakeNamedDialog guest={question.guest} onClose={close} />
    default:
      return <Confirmation question={question} />
  }
}

function Confirmation({ question }: { question: YesNoQuestion }) {
  const actions = useActions()
  const vault = useHost((state) => state.vault)
  const checkpoints = useHost((state) => state.checkpoints)
  const words = questionWords(question, { vault, checkpoints, nowMs: Date.now() })
  function confirm(): void {
    close()
    carryOut(question, actions)
  }
  return (
    <ConfirmDialog
      title={words.title}
      confirm={words.confirm}
      cancel={words.cancel}
      danger
      onConfirm={confirm}
      onClose={close}
    >
      {words.text.map((text) => (
        <p key={text}>{text}</p>
      ))}
    </ConfirmDialog>
  )
}

function carryOut(question: YesNoQuestion, actions: Actions): void {
  switch (question.kind) {
    case 'delete':
      return void actions.remove(question.guest)
    case 'force-off':
      return void actions.command(question.guest, 'forceOff')
    case 'post-copy': {
      const { guest, dock } = question
      const way = { guestId: guest.id, fromDockId: guest.dockId, toDockId: dock.id }
      return void actions.move({ ...way, switchover: 'post-copy' })
    }
    case 'unpair':
      return void actions.unpair(question.dock)
    case 'run-here':
    case 'give-up-here':
      return void actions.settle(question.guest, question.migrationId, question.kind)
    case 'delete-checkpoint':
      return void actions.removeCheckpoint(question.checkpoint)
    case 'revoke':
      return void actions.revoke(question.link)
    case 'forget-vault':
      return void actions.forgetVault()
    case 'forget-kept':
      return void actions.forgetAllKept()
    default:
      assertNever(question)
  }
}

function RenameDialog({ guest }: { guest: Guest }) {
  const actions = useActions()
  const [name, setName] = useState(guest.name)
  const [error, setError] = useState<ErrorShape | null>(null)
  const parsed = guestName.safeParse(name)
  const problem = parsed.success
    ? undefined
    : `Not a name yet: ${parsed.error.issues[0]?.message ?? 'too odd'}.`
  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (!parsed.success) return
    const failure = await actions.rename(guest.id, parsed.data)
    if (failure === null) close()
    else setError(failure)
  }
  return (
    <FormDialog title={`Rename ${guest.name}`} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <TextField label="Name" value={name} onChange={setName} problem={problem} maxLength={64} />
        {error !== null && <ErrorNotice error={error} />}
        <div className="dialog__buttons">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" look="primary" disabled={problem !== undefined}>
            Rename
          </Button>
        </div>
      </form>
    </FormDialog>
  )
}
