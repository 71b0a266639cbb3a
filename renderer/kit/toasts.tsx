/** Shows what `state/toasts.ts` was told: at the lower edge, reachable by keyboard with F6. */
import { Toast } from '@base-ui/react/toast'
import { X } from 'lucide-react'
import { type ToastData, toasts } from '../state/toasts.ts'
import { ErrorDetail } from './error-notice.tsx'

export function Toasts() {
  return (
    <Toast.Provider toastManager={toasts} limit={4}>
      <Toast.Portal>
        <Toast.Viewport className="toasts">
          <ToastList />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  )
}

function ToastList() {
  const manager = Toast.useToastManager<ToastData>()
  return manager.toasts.map((toast) => (
    <Toast.Root key={toast.id} toast={toast} className="toast" swipeDirection={[]}>
      <Toast.Content className="toast__content">
        <div className="toast__body">
          <Toast.Title className="toast__title" />
          <Toast.Description className="toast__text" />
          <ErrorDetail detail={toast.data?.detail ?? null} />
        </div>
        <Toast.Action className="btn btn--plain btn--small" />
        <Toast.Close className="icon-btn" aria-label="Close">
          <X size={16} aria-hidden />
        </Toast.Close>
      </Toast.Content>
    </Toast.Root>
  ))
}
