/** A failure in place: what happened, what to do, and the technical part one click deeper. */
import { TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'

export function ErrorDetail({ detail }: { detail: string | null }) {
  if (detail === null || detail === '') return null
  return (
    <details className="detail">
      <summary>Details</summary>
      <pre>{detail}</pre>
    </details>
  )
}

export function ErrorText({ error }: { error: ErrorShape }) {
  return (
    <div className="error-text">
      <p className="error-text__says">{error.message}</p>
      <p className="error-text__fix">{error.fix}</p>
      <ErrorDetail detail={error.detail} />
    </div>
  )
}

export function ErrorNotice({ error, children }: { error: ErrorShape; children?: ReactNode }) {
  return (
    <div className="notice notice--error" role="alert">
      <TriangleAlert aria-hidden size={18} />
      <div className="notice__body">
        <ErrorText error={error} />
        {children}
      </div>
    </div>
  )
}
