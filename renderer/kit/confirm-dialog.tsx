/** The few questions that must be asked before something is done. Focus starts on the harmless answer. */
import { AlertDialog } from '@base-ui/react/alert-dialog'
import { type ReactNode, useRef } from 'react'
import { Button } from './button.tsx'
import { focusOnPage } from './keep-focus.ts'

interface ConfirmDialogProps {
  title: string
  children: ReactNode
  confirm: string
  cancel?: string
  danger?: boolean
  disabled?: boolean
  onConfirm: () => void
  onClose: () => void
}

export function ConfirmDialog(props: ConfirmDialogProps) {
  const cancelRef = useRef<HTMLButtonElement>(null)
  return (
    <AlertDialog.Root open onOpenChange={(open) => !open && props.onClose()}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="backdrop" />
        <AlertDialog.Popup className="dialog" initialFocus={cancelRef} finalFocus={focusOnPage}>
          <AlertDialog.Title className="dialog__title">{props.title}</AlertDialog.Title>
          <AlertDialog.Description className="dialog__text" render={<div />}>
            {props.children}
          </AlertDialog.Description>
          <div className="dialog__buttons">
            <Button ref={cancelRef} onClick={props.onClose}>
              {props.cancel ?? 'Keep it'}
            </Button>
            <Button
              look={props.danger ? 'danger' : 'primary'}
              disabled={props.disabled ?? false}
              onClick={props.onConfirm}
            >
              {props.confirm}
            </Button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
