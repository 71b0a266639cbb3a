/** How ready another PC is for guests of this one, on its desk. */
import { Flame } from 'lucide-react'
import type { Warmth } from '../../shared/models/warmth.ts'
import { warmWords } from '../../shared/words.ts'
import { useHost } from '../state/app-context.tsx'

export function WarmLines({ dockId }: { dockId: string }) {
  const warmths = useHost((state) => state.warmths)
  const shown = warmths.filter((each) => each.toDockId === dockId)
  if (shown.length === 0) return null
  return (
    <ul className="desk__warm" aria-label="Kept ready here">
      {shown.map((warmth) => (
        <WarmLine key={warmth.guestId} warmth={warmth} />
      ))}
    </ul>
  )
}

function WarmLine({ warmth }: { warmth: Warmth }) {
  const { guestId, state } = warmth
  const name = useHost(({ guests }) => guests.find(({ id }) => id === guestId)?.name ?? 'A guest')
  return (
    <li className={`desk__warm-one${state.kind === 'ready' ? ' desk__warm-one--ready' : ''}`}>
      <Flame size={14} aria-hidden />
      <span>
        <b>{name}</b> {warmWords(state)}
      </span>
    </li>
  )
}
