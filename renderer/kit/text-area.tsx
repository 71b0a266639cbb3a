/** A labelled field for more than a line, with its hint and its complaint, tied together for screen readers. */
import { Field } from '@base-ui/react/field'

interface TextAreaProps {
  label: string
  value: string
  onChange: (value: string) => void
  hint?: string | undefined
  problem?: string | undefined
  rows?: number
  maxLength?: number
  placeholder?: string
  /** For keys, phrases and addresses, in which every letter counts. */
  isCode?: boolean
}

export function TextArea(props: TextAreaProps) {
  const { label, value, onChange, hint, problem, rows = 3, isCode = false, ...rest } = props
  return (
    <Field.Root className="field" invalid={problem !== undefined}>
      <Field.Label className="field__label">{label}</Field.Label>
      <Field.Control
        className={isCode ? 'input input--area input--code' : 'input input--area'}
        value={value}
        onValueChange={onChange}
        autoComplete="off"
        spellCheck={!isCode}
        render={<textarea rows={rows} />}
        {...rest}
      />
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
