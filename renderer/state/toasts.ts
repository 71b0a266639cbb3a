/** Short messages at the edge of the window. Errors stay until they are closed; good news leaves by itself. */
import { Toast } from '@base-ui/react/toast'
import type { ErrorShape } from '../../shared/errors/index.ts'

export interface ToastData {
  detail: string | null
}

export const toasts = Toast.createToastManager<ToastData>()

export function showError(error: ErrorShape): void {
  toasts.add({
    id: `error:${error.code}:${error.message}`,
    type: 'error',
    priority: 'high',
    title: error.message,
    description: error.fix,
    timeout: 0,
    data: { detail: error.detail },
  })
}

export function showDone(title: string, undo?: () => void): void {
  toasts.add({
    type: 'done',
    title,
    timeout: undo === undefined ? 5000 : 12_000,
    ...(undo === undefined ? {} : { actionProps: { children: 'Undo', onClick: undo } }),
  })
}
