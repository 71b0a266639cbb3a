/** A labelled field for more than a line, with its hint and its complaint. */
import { Field } from '@base-ui/react/field'
import { FieldFrame, type FieldFrameProps } from './field-frame.tsx'

interface TextAreaProps extends Omit<FieldFrameProps, 'children'> {
  value: string
  onChange: (value: string) => void
  rows?: number
  maxLength?: number
  placeholder?: string
  /** For keys, phrases and addresses, in which every letter counts. */
  isCode?: boolean
}

export function TextArea(props: TextAreaProps) {
  const { label, hint, problem, hideLabel, value, onChange, rows = 3, isCode = false, ...rest } = props
  return (
    <FieldFrame label={label} hint={hint} problem={problem} hideLabel={hideLabel}>
      <Field.Control
        className={isCode ? 'input input--area input--code' : 'input input--area'}
        value={value}
        onValueChange={onChange}
        autoComplete="off"
        spellCheck={!isCode}
        render={<textarea rows={rows} />}
        {...rest}
      />
    </FieldFrame>
  )
}
