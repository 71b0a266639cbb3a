/** A dialog with a form or a few steps in it: a title, what belongs to it, and Escape to leave. */
import { Dialog } from '@base-ui/react/dialog'
import type { ReactNode } from 'react'
import { focusOnPage } from './keep-focus.ts'

interface FormDialogProps {
  title: string
  wide?: boolean
  onClose: () => void
  children: ReactNode
}

export function FormDialog({ title, wide = false, onClose, children }: FormDialogProps) {
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className={wide ? 'dialog dialog--wide' : 'dialog'} finalFocus={focusOnPage}>
          <Dialog.Title className="dialog__title">{title}</Dialog.Title>
          {children}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
