/** One checkpoint: what it shows, where it is and what it takes, and everything that can be done with it. */
import { Pencil, Pin, PinOff, RotateCcw, Share2, Trash2 } from 'lucide-react'
import { type ReactNode, useId } from 'react'
import { formatBytes, formatDuration } from '../../shared/format.ts'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { checkpointPlaceWord, checkpointReasonWord } from '../../shared/words.ts'
import { Button } from '../kit/button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { Facts } from '../kit/page.tsx'
import { Ago, useToday } from '../kit/ticking.tsx'
import { LentList } from '../lending/lent-list.tsx'
import { checkpointTitle, lendProblem } from '../model/checkpoint-words.ts'
import { dateWords } from '../model/dates.ts'
import { sizeWords } from '../model/guest-words.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { checkpointKey } from '../state/checkpoint-actions.ts'
import { ask, usePending } from '../state/ui-store.ts'
import { CheckpointPicture } from './checkpoint-picture.tsx'

export function CheckpointDetails({ checkpoint }: { checkpoint: Checkpoint }) {
  const todayMs = useToday()
  const { label, place } = checkpoint
  return (
    <section className="section checkpoint" aria-label="The selected checkpoint">
      <div className="checkpoint__picture">
        <CheckpointPicture key={checkpoint.id} checkpoint={checkpoint} />
      </div>
      <div className="checkpoint__body">
        <h2>{checkpointTitle(checkpoint, todayMs)}</h2>
        {label.note !== '' && <p className="checkpoint__note">{label.note}</p>}
        {place.kind === 'damaged' && <ErrorNotice error={place.error} />}
        <Actions checkpoint={checkpoint} />
        <Facts rows={factsOf(checkpoint)} />
        <LentOf checkpointId={checkpoint.id} />
      </div>
    </section>
  )
}

function factsOf(checkpoint: Checkpoint): [string, ReactNode][] {
  const { atMs, reason, byDockName, place, freezeMs, hasMemory } = checkpoint
  const rows: [string, ReactNode][] = [
    ['When', `${dateWords(atMs)}, ${checkpointReasonWord(reason)} on ${byDockName}`],
    [
      'Size',
      `${formatBytes(checkpoint.wholeBytes)} by itself; it added ${formatBytes(checkpoint.addedBytes)} to the vault`,
    ],
    ['Where it is', checkpointPlaceWord(place)],
    ['Verified', <Verified key="verified" checkpoint={checkpoint} />],
    ['Holds', hasMemory ? 'memory and disk' : 'its disk; it was switched off'],
    ['Guest', [...sizeWords(checkpoint), `${formatBytes(checkpoint.diskBytes)} disk`].join(', ')],
    ['Machine', `${checkpoint.machine}, QEMU ${checkpoint.qemuVersion}`],
  ]
  if (freezeMs !== null)
    rows.splice(1, 0, ['Freeze', `the guest stood still for ${formatDuration(freezeMs)}`])
  return rows
}

function Verified({ checkpoint: { verifiedAtMs, place } }: { checkpoint: Checkpoint }) {
  if (verifiedAtMs === null) return place.kind === 'damaged' ? 'found damaged' : 'not read back yet'
  return (
    <>
      <Ago atMs={verifiedAtMs} />
      {place.kind === 'damaged' ? ' it was still whole' : ': read back and found whole'}
    </>
  )
}

function Actions({ checkpoint }: { checkpoint: Checkpoint }) {
  const actions = useActions()
  const pending = usePending(checkpointKey(checkpoint.id))
  const vault = useHost((state) => state.vault)
  const reasonId = useId()
  const lendReason = lendProblem(checkpoint, vault)
  const { label, place } = checkpoint
  const isWhole = place.kind !== 'damaged'
  return (
    <>
      <div className="checkpoint__actions">
        {isWhole && (
          <Button
            look="primary"
            icon={<RotateCcw size={15} aria-hidden />}
            disabled={pending}
            onClick={() => ask({ kind: 'restore', checkpoint })}
          >
            Restore…
          </Button>
        )}
        {isWhole && (
          <Button
            icon={<Share2 size={15} aria-hidden />}
            disabled={pending || lendReason !== null}
            aria-describedby={lendReason === null ? undefined : reasonId}
            onClick={() => ask({ kind: 'lend', checkpoint })}
          >
            Lend…
          </Button>
        )}
        <Button
          icon={<Pencil size={15} aria-hidden />}
          disabled={pending}
          title="Its name and a note"
          onClick={() => ask({ kind: 'relabel', checkpoint })}
        >
          Rename…
        </Button>
        <Button
          className="checkpoint__pin"
          icon={label.pinned ? <PinOff size={15} aria-hidden /> : <Pin size={15} aria-hidden />}
          disabled={pending}
          title={label.pinned ? 'The rules may delete it then' : 'The rules never delete it then'}
          onClick={() => void actions.pin(checkpoint, !label.pinned)}
        >
          {label.pinned ? 'Unpin' : 'Pin'}
        </Button>
        <Button
          look="danger"
          icon={<Trash2 size={15} aria-hidden />}
          disabled={pending}
          onClick={() => ask({ kind: 'delete-checkpoint', checkpoint })}
        >
          Delete…
        </Button>
      </div>
      {isWhole && lendReason !== null && (
        <p className="field__hint" id={reasonId}>
          {lendReason}
        </p>
      )}
    </>
  )
}

function LentOf({ checkpointId }: { checkpointId: string }) {
  const links = useHost((state) => state.lentLinks)
  const own = links.filter((link) => link.checkpointId === checkpointId)
  if (own.length === 0) return null
  return (
    <div className="checkpoint__lent">
      <h3>Lent from this PC</h3>
      <LentList links={own} brief />
    </div>
  )
}
