/** A labelled whole number with buttons to step it. */
import { NumberField as Base } from '@base-ui/react/number-field'
import { Minus, Plus } from 'lucide-react'
import { useId } from 'react'

interface NumberFieldProps {
  label: string
  value: number
  onChange: (value: number) => void
  min: number
  max: number
  step?: number
  unit?: string
}

export function NumberField({ label, value, onChange, min, max, step = 1, unit }: NumberFieldProps) {
  const id = useId()
  return (
    <Base.Root
      className="field"
      id={id}
      value={value}
      onValueChange={(next) => next !== null && onChange(next)}
      min={min}
      max={max}
      step={step}
      format={{ useGrouping: false }}
    >
      <label className="field__label" htmlFor={id}>
        {label}
      </label>
      <Base.Group className="number">
        <Base.Decrement className="number__step" aria-label={`Less: ${label}`}>
          <Minus size={14} aria-hidden />
        </Base.Decrement>
        <Base.Input className="number__input" />
        {unit !== undefined && <span className="number__unit">{unit}</span>}
        <Base.Increment className="number__step" aria-label={`More: ${label}`}>
          <Plus size={14} aria-hidden />
        </Base.Increment>
      </Base.Group>
    </Base.Root>
  )
}
