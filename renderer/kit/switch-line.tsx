/** Something that is on or off, with its words and what they come to. */
import { Switch } from '@base-ui/react/switch'
import { useId } from 'react'

interface SwitchLineProps {
  label: string
  hint?: string
  on: boolean
  onChange: (on: boolean) => void
}

export function SwitchLine({ label, hint, on, onChange }: SwitchLineProps) {
  const id = useId()
  return (
    <div className="switch-line">
      <Switch.Root id={id} className="switch" checked={on} onCheckedChange={onChange}>
        <Switch.Thumb className="switch__thumb" />
      </Switch.Root>
      <label htmlFor={id}>
        {label}
        {hint !== undefined && <span className="field__hint">{hint}</span>}
      </label>
    </div>
  )
}
