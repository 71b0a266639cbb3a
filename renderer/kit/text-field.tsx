/** A labelled text field with its hint and its complaint, tied together for screen readers. */
import { Field } from '@base-ui/react/field'
import type { ComponentProps, ReactNode } from 'react'

interface TextFieldProps extends Omit<ComponentProps<'input'>, 'onChange' | 'value'> {
  label: string
  value: string
  onChange: (value: string) => void
  hint?: string | undefined
  problem?: string | undefined
  hideLabel?: boolean
  /** Shown behind the field on the same line. */
  after?: ReactNode
}

export function TextField(props: TextFieldProps) {
  const { label, value, onChange, hint, problem, hideLabel = false, after, ...rest } = props
  return (
    <Field.Root className="field" invalid={problem !== undefined}>
      <Field.Label className={hideLabel ? 'visually-hidden' : 'field__label'}>{label}</Field.Label>
      <div className="field__line">
        <Field.Control
          className="input"
          value={value}
          onValueChange={onChange}
          autoComplete="off"
          spellCheck={false}
          {...rest}
        />
        {after}
      </div>
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
