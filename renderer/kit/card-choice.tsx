/** One of a few that want more than a word each: radio buttons drawn as cards. */
import { Radio } from '@base-ui/react/radio'
import { RadioGroup } from '@base-ui/react/radio-group'
import { type ReactNode, useId } from 'react'
import { submitOnEnter } from './enter-submits.ts'

export interface Card<T extends string> {
  value: T
  title: string
  text: string
  icon: ReactNode
  disabled?: boolean
}

interface CardChoiceProps<T extends string> {
  label: string
  value: T
  cards: readonly Card<T>[]
  onChange: (value: T) => void
}

export function CardChoice<T extends string>({ label, value, cards, onChange }: CardChoiceProps<T>) {
  const id = useId()
  return (
    <RadioGroup
      className="cards"
      aria-label={label}
      value={value}
      onValueChange={(next: T) => onChange(next)}
      onKeyDown={submitOnEnter}
    >
      {cards.map((card) => (
        <Radio.Root
          key={card.value}
          value={card.value}
          className="cards__card"
          disabled={card.disabled ?? false}
          aria-label={card.title}
          aria-describedby={`${id}-${card.value}`}
        >
          {card.icon}
          <span className="cards__title">{card.title}</span>
          <span className="cards__text" id={`${id}-${card.value}`}>
            {card.text}
          </span>
        </Radio.Root>
      ))}
    </RadioGroup>
  )
}
