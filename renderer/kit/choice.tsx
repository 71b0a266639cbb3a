/** One of a few, all of them visible: a group of radio buttons drawn as a segmented bar. */
import { Radio } from '@base-ui/react/radio'
import { RadioGroup } from '@base-ui/react/radio-group'
import { submitOnEnter } from './enter-submits.ts'

interface ChoiceProps<T extends string> {
  label: string
  value: T
  options: readonly (readonly [T, string])[]
  onChange: (value: T) => void
  hideLabel?: boolean
}

export function Choice<T extends string>({ label, value, options, onChange, hideLabel }: ChoiceProps<T>) {
  return (
    <div className="field">
      <span className={hideLabel ? 'visually-hidden' : 'field__label'} aria-hidden>
        {label}
      </span>
      <RadioGroup
        className="segments"
        aria-label={label}
        value={value}
        onValueChange={(next: T) => onChange(next)}
        onKeyDown={submitOnEnter}
      >
        {options.map(([option, text]) => (
          <Radio.Root key={option} value={option} className="segments__option" aria-label={text}>
            {text}
          </Radio.Root>
        ))}
      </RadioGroup>
    </div>
  )
}
