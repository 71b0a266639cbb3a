/** Lends a checkpoint: for how long, and then the link, at once; what it leads to is prepared while one looks on. */
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { Button } from '../kit/button.tsx'
import { Choice } from '../kit/choice.tsx'
import { CopyButton } from '../kit/copy-button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { useFocusOnMount } from '../kit/focus-on-mount.ts'
import { FormDialog } from '../kit/form-dialog.tsx'
import { SwitchLine } from '../kit/switch-line.tsx'
import { TextField } from '../kit/text-field.tsx'
import { checkpointTitle } from '../model/checkpoint-words.ts'
import { dateFieldText, momentWords } from '../model/dates.ts'
import {
  type LendDraft,
  type LendProblems,
  type LendTimes,
  lentWords,
  readLendDraft,
} from '../model/lend-draft.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { usePending } from '../state/ui-store.ts'
import { LentState } from './lent-list.tsx'

interface Lent {
  shareId: string
  link: string
  times: LendTimes
}

interface LendDialogProps {
  checkpoint: Checkpoint
  onClose: () => void
}

export function LendDialog({ checkpoint, onClose }: LendDialogProps) {
  const [lent, setLent] = useState<Lent | null>(null)
  const title = `Lend ${checkpoint.guestName}, “${checkpointTitle(checkpoint, Date.now())}”`
  return (
    <FormDialog title={title} wide onClose={onClose}>
      {lent === null ? (
        <LendForm checkpoint={checkpoint} onLent={setLent} onClose={onClose} />
      ) : (
        <TheLink lent={lent} onClose={onClose} />
      )}
    </FormDialog>
  )
}

const dayMs = 86_400_000

function freshDraft(): LendDraft {
  const nowMs = Date.now()
  return {
    span: 'day',
    until: dateFieldText(nowMs + 7 * dayMs),
    startsLater: false,
    start: dateFieldText(nowMs + dayMs),
  }
}

interface LendFormProps extends LendDialogProps {
  onLent: (lent: Lent) => void
}

function LendForm({ checkpoint, onLent, onClose }: LendFormProps) {
  const actions = useActions()
  const pending = usePending('lend')
  const [draft, setDraft] = useState(freshDraft)
  const [problems, setProblems] = useState<LendProblems>({})
  const [error, setError] = useState<ErrorShape | null>(null)
  const change = (part: Partial<LendDraft>) => {
    setDraft((old) => ({ ...old, ...part }))
    setProblems({})
  }
  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    const read = readLendDraft(draft, Date.now())
    if ('problems' in read) return setProblems(read.problems)
    const answer = await actions.lend(checkpoint, read.times)
    if ('error' in answer) setError(answer.error)
    else onLent({ ...answer, times: read.times })
  }
  return (
    <form onSubmit={(event) => void submit(event)} noValidate>
      <p>
        Whoever has the link can restore this one checkpoint on a PC of theirs, with all that is in it,
        passwords and keys included. They see nothing else of the vault.
      </p>
      <SpanFields draft={draft} change={change} problems={problems} />
      {error !== null && <ErrorNotice error={error} />}
      <div className="dialog__buttons">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" look="primary" disabled={pending}>
          {pending ? 'Making it …' : 'Make the link'}
        </Button>
      </div>
    </form>
  )
}

interface SpanFieldsProps {
  draft: LendDraft
  change: (part: Partial<LendDraft>) => void
  problems: LendProblems
}

function SpanFields({ draft, change, problems }: SpanFieldsProps) {
  return (
    <>
      <Choice
        label="For how long"
        value={draft.span}
        options={[
          ['hours', '2 hours'],
          ['day', 'A day'],
          ['until', 'Until …'],
          ['ever', 'For ever'],
        ]}
        onChange={(span) => change({ span })}
      />
      {draft.span === 'until' && (
        <TextField
          label="Until"
          type="datetime-local"
          value={draft.until}
          onChange={(until) => change({ until })}
          problem={problems.until}
        />
      )}
      <SwitchLine
        label="Begins later"
        on={draft.startsLater}
        onChange={(startsLater) => change({ startsLater })}
      />
      {draft.startsLater && (
        <TextField
          label="From"
          type="datetime-local"
          value={draft.start}
          onChange={(start) => change({ start })}
          problem={problems.start}
        />
      )}
    </>
  )
}

function TheLink({ lent, onClose }: { lent: Lent; onClose: () => void }) {
  const copy = useFocusOnMount<HTMLButtonElement>()
  const known = useHost((state) => state.lentLinks.find((link) => link.shareId === lent.shareId) ?? null)
  return (
    <div className="dialog__body">
      <p>
        The link is good {lentWords(lent.times, Date.now())}. Send it to whom you trust with this guest; you
        can take it back at any time.
      </p>
      <output className="link-text" aria-label="The link">
        {lent.link}
      </output>
      {known !== null && (
        <div aria-live="polite">
          {known.state.kind === 'ready' ? (
            <p className="lent__facts">{readyWords(lent)}</p>
          ) : (
            <LentState link={known} />
          )}
        </div>
      )}
      <div className="dialog__buttons">
        <Button onClick={onClose}>Close</Button>
        <CopyButton ref={copy} look="primary" text={lent.link} label="Copy the link" />
      </div>
    </div>
  )
}

function readyWords({ times: { startMs } }: Lent): string {
  return startMs === null ? 'It works now.' : `It works from ${momentWords(startMs, Date.now())} on.`
}
