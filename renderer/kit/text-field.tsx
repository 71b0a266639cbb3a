/** A labelled field for a line, with its hint and its complaint. */
import { Field } from '@base-ui/react/field'
import type { ComponentProps, ReactNode } from 'react'
import { FieldFrame, type FieldFrameProps } from './field-frame.tsx'

interface TextFieldProps
  extends Omit<ComponentProps<'input'>, 'onChange' | 'value' | 'children'>,
    Omit<FieldFrameProps, 'children'> {
  value: string
  onChange: (value: string) => void
  /** Shown behind the field on the same line. */
  after?: ReactNode
}

export function TextField(props: TextFieldProps) {
  const { label, hint, problem, hideLabel, value, onChange, after, ...rest } = props
  return (
    <FieldFrame label={label} hint={hint} problem={problem} hideLabel={hideLabel}>
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
    </FieldFrame>
  )
}
