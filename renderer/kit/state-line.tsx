/** A guest's state in one line of parts that never break inside: a dot, the word, its size, its uptime. */
import { Fragment, type ReactNode } from 'react'
import type { Guest } from '../../shared/models/guest.ts'
import { sizeWords, type Tone } from '../model/guest-words.ts'
import { Uptime } from './ticking.tsx'

interface StateLineProps {
  guest: Guest
  word: string
  tone: Tone
  /** Leaves size and uptime out. */
  brief?: boolean
}

export function StateLine({ guest, word, tone, brief = false }: StateLineProps) {
  const parts: ReactNode[] = brief ? [] : sizeWords(guest)
  if (!brief && guest.bootedAtMs !== null) parts.push(<Uptime key="uptime" sinceMs={guest.bootedAtMs} />)
  return (
    <p className="state-line">
      <span className={`dot dot--${tone}`} aria-hidden />
      {word}
      {parts.map((part, index) => (
        // The parts of a line keep their places.
        <Fragment key={String(index)}>
          {'\u00a0· '}
          <span className="state-line__part">{part}</span>
        </Fragment>
      ))}
    </p>
  )
}
