/** The timeline of one guest with the selected checkpoint under it: on the guest's page and on the vault's alike. */
import { type ReactNode, useMemo, useState } from 'react'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { checkpointsAreListed } from '../model/checkpoint-words.ts'
import { shownCheckpoint } from '../model/timeline.ts'
import { useHost } from '../state/app-context.tsx'
import { CheckpointDetails } from './checkpoint-details.tsx'
import { Timeline } from './timeline.tsx'

interface GuestHistoryProps {
  guestId: string
  guestName: string
  /** In its place when there is none. */
  empty: ReactNode
}

export function GuestHistory({ guestId, guestName, empty }: GuestHistoryProps) {
  const all = useHost((state) => state.checkpoints)
  const areListed = useHost((state) => checkpointsAreListed(state.vault))
  const checkpoints = useMemo(() => all.filter((each) => each.guestId === guestId), [all, guestId])
  const [chosen, setChosen] = useState<Checkpoint | null>(null)
  const shown = shownCheckpoint(checkpoints, chosen)
  if (shown === null) return areListed ? empty : null
  return (
    <>
      <Timeline guestName={guestName} checkpoints={checkpoints} selected={shown} onSelect={setChosen} />
      <CheckpointDetails checkpoint={shown} />
    </>
  )
}
