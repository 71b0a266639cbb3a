/** The one question that may be open: rename, delete, force off, unpair, and the two risky ways out of an unsettled move. */

import { Dialog } from '@base-ui/react/dialog'
import { type FormEvent, useState } from 'react'
import { assertNever } from '../shared/assert-never.ts'
import type { ErrorShape } from '../shared/errors/index.ts'
import { type Guest, guestName } from '../shared/models/guest.ts'
import { Button } from './kit/button.tsx'
import { ConfirmDialog } from './kit/confirm-dialog.tsx'
import { ErrorNotice } from './kit/error-notice.tsx'
import { TextField } from './kit/text-field.tsx'
import { useActions } from './state/app-context.tsx'
import { ask, type Question, useUi } from './state/ui-store.ts'

const close = (): void => ask(null)

export function OpenQuestion() {
  const question = useUi((ui) => ui.question)
  if (question === null) return null
  if (question.kind === 'rename') return <RenameDialog guest={question.guest} />
  return <Confirmation question={question} />
}

function Confirmation({ question }: { question: Exclude<Question, { kind: 'rename' }> }) {
  const actions = useActions()
  const words = confirmationWords(question)
  function confirm(): void {
    close()
    switch (question.kind) {
      case 'delete':
        return void actions.remove(question.guest)
      case 'force-off':
        return void actions.command(question.guest, 'forceOff')
      case 'unpair':
        return void actions.unpair(question.dock)
      case 'run-here':
      case 'give-up-here':
        return void actions.settle(question.guest, question.migrationId, question.kind)
      default:
        assertNever(question)
    }
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

interface Words {
  title: string
  text: string[]
  confirm: string
  cancel: string
}

function confirmationWords(question: Exclude<Question, { kind: 'rename' }>): Words {
  switch (question.kind) {
    case 'delete':
      return {
        title: `Delete ${question.guest.name}?`,
        text: ['Its disk goes to the trash of this PC. You can undo this for a moment.'],
        confirm: 'Delete',
        cancel: 'Keep it',
      }
    case 'force-off':
      return {
        title: `Force ${question.guest.name} off?`,
        text: [
          'This is like pulling the plug: what it has not saved is lost. “Shut down” asks it to end by itself.',
        ],
        confirm: 'Force off',
        cancel: 'Leave it on',
      }
    case 'unpair':
      return {
        title: `Unpair ${question.dock.name}?`,
        text: ['The two PCs stop trusting each other at once. Guests stay where they are.'],
        confirm: 'Unpair',
        cancel: 'Stay paired',
      }
    case 'run-here':
      return {
        title: `Run ${question.guest.name} on this PC anyway?`,
        text: [
          `If it also runs on ${question.otherName}, two copies go on separately: changes of one of them will be lost, and both use the same network address.`,
          `Do this only if you know that it does not run on ${question.otherName}.`,
        ],
        confirm: 'Run it here',
        cancel: 'Wait',
      }
    case 'give-up-here':
      return {
        title: `Give up the copy of ${question.guest.name} on this PC?`,
        text: [
          'Its disk goes to the trash of this PC and is kept for 30 days; what it had in memory here is lost.',
          `Do this only if you see it running on ${question.otherName}.`,
        ],
        confirm: 'Give up this copy',
        cancel: 'Keep it',
      }
    default:
      return assertNever(question)
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
    <Dialog.Root open onOpenChange={(open) => !open && close()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className="dialog">
          <Dialog.Title className="dialog__title">Rename {guest.name}</Dialog.Title>
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
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
