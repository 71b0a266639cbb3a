/** What is around a field: its label, and its complaint or its hint, tied to it for screen readers. */
import { Field } from '@base-ui/react/field'
import type { ReactNode } from 'react'

export interface FieldFrameProps {
  label: string
  hint?: string | undefined
  /** Takes the place of the hint. */
  problem?: string | undefined
  hideLabel?: boolean | undefined
  children: ReactNode
}

export function FieldFrame({ label, hint, problem, hideLabel = false, children }: FieldFrameProps) {
  return (
    <Field.Root className="field" invalid={problem !== undefined}>
      <Field.Label className={hideLabel ? 'visually-hidden' : 'field__label'}>{label}</Field.Label>
      {children}
      {problem !== undefined && (
        <Field.Error className="field__problem" match>
          {problem}
        </Field.Error>
      )}
      {problem === undefined && hint !== undefined && (
        <Field.Description className="field__hint">{hint}</Field.Description>
      )}
    </Field.Root>
  )
}
