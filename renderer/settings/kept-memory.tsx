/** What this PC keeps of guests' memory, how much that may be, and the way to be rid of it. */
import { formatMemory } from '../../shared/format.ts'
import type { KeptGuestMemory } from '../../shared/models/kept-memory.ts'
import { Button } from '../kit/button.tsx'
import { Choice } from '../kit/choice.tsx'
import { Section } from '../kit/page.tsx'
import { keptFacts, keptName, limitChoices } from '../model/kept-words.ts'
import { keptKey } from '../state/actions.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { useTimeText } from '../state/clock.ts'
import { ask, usePending } from '../state/ui-store.ts'

interface KeptMemoryProps {
  onLimit: (keptMemoryMiB: number) => void
}

export function KeptMemory({ onLimit }: KeptMemoryProps) {
  const limitMiB = useHost((state) => state.settings.keptMemoryMiB)
  const { guests, totalBytes } = useHost((state) => state.keptMemory)
  return (
    <Section title="Memory of guests">
      <p>
        After a guest has come or gone, this PC keeps an encrypted copy of its memory, so that next time only
        what changed has to cross.
      </p>
      <Choice
        label="Keep at most"
        value={String(limitMiB)}
        options={limitChoices(limitMiB)}
        onChange={(limit) => onLimit(Number(limit))}
      />
      {guests.length === 0 ? (
        <p className="field__hint">{limitMiB === 0 ? 'Nothing is kept.' : 'Nothing is kept yet.'}</p>
      ) : (
        <>
          <ul className="kept-memory" aria-label="Kept memory">
            {guests.map((guest) => (
              <Kept key={guest.guestId} guest={guest} />
            ))}
          </ul>
          <div className="kept-memory__end">
            <p className="field__hint">
              {formatMemory(totalBytes)} in use. Forgetting loses nothing: it only makes the next move slower.
            </p>
            <Button onClick={() => ask({ kind: 'forget-kept' })}>Forget all…</Button>
          </div>
        </>
      )}
    </Section>
  )
}

function Kept({ guest }: { guest: KeptGuestMemory }) {
  const actions = useActions()
  const pending = usePending(keptKey(guest.guestId))
  const facts = useTimeText((nowMs) => keptFacts(guest, nowMs))
  const name = keptName(guest)
  return (
    <li className="kept-memory__one">
      <div className="kept-memory__words">
        <p className="kept-memory__name">{name}</p>
        <p className="kept-memory__facts">{facts}</p>
      </div>
      <Button
        small
        disabled={pending}
        aria-label={`Forget the memory of ${name}`}
        onClick={() => void actions.forgetKept(guest.guestId, name)}
      >
        Forget
      </Button>
    </li>
  )
}
