/**
 * When checkpoints of a guest are made by themselves and which are kept: one sentence each, and the form behind a
 * button. The sentences follow what is being chosen, so that nobody has to work out what numbers come to.
 */
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { type CheckpointRules, defaultCheckpointRules } from '../../shared/models/checkpoint.ts'
import { Button } from '../kit/button.tsx'
import { Choice } from '../kit/choice.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { useFocusOnMount } from '../kit/focus-on-mount.ts'
import { NumberField } from '../kit/number-field.tsx'
import { Section } from '../kit/page.tsx'
import { SwitchLine } from '../kit/switch-line.tsx'
import { everyWords, keepWords, offeredMinutes, whenWords } from '../model/rules-words.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { showDone } from '../state/toasts.ts'
import { usePending } from '../state/ui-store.ts'

export function Rules({ guestId }: { guestId: string }) {
  const rules = useHost(
    (state) =>
      state.checkpointRules.find((each) => each.guestId === guestId)?.rules ?? defaultCheckpointRules,
  )
  const [isOpen, setOpen] = useState(false)
  return (
    <Section title="Automatic checkpoints">
      {isOpen ? (
        <RulesForm guestId={guestId} rules={rules} onClose={() => setOpen(false)} />
      ) : (
        <>
          <RulesSentences rules={rules} />
          <div>
            <Button onClick={() => setOpen(true)}>Change…</Button>
          </div>
        </>
      )}
    </Section>
  )
}

function RulesSentences({ rules }: { rules: CheckpointRules }) {
  const when = whenWords(rules)
  return (
    <div className="rules__sentences">
      <p>{when}</p>
      <p>{keepWords(rules)}</p>
      <p className="field__hint">Those that you made or pinned yourself stay until you delete them.</p>
    </div>
  )
}

interface RulesFormProps {
  guestId: string
  rules: CheckpointRules
  onClose: () => void
}

function RulesForm({ guestId, rules, onClose }: RulesFormProps) {
  const actions = useActions()
  const pending = usePending(`rules:${guestId}`)
  const form = useFocusOnMount<HTMLFormElement>()
  const [draft, setDraft] = useState(rules)
  const [error, setError] = useState<ErrorShape | null>(null)
  const change = (part: Partial<CheckpointRules>) => setDraft((old) => ({ ...old, ...part }))
  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    const failure = await actions.changeRules(guestId, draft)
    setError(failure)
    if (failure !== null) return
    showDone('Saved the rules.')
    onClose()
  }
  return (
    <form
      className="rules"
      ref={form}
      tabIndex={-1}
      aria-label="Automatic checkpoints"
      onSubmit={(event) => void submit(event)}
    >
      <WhenFields draft={draft} change={change} />
      <KeepFields keep={draft.keep} change={(part) => change({ keep: { ...draft.keep, ...part } })} />
      <div aria-live="polite">
        <RulesSentences rules={draft} />
      </div>
      {error !== null && <ErrorNotice error={error} />}
      <div className="form__buttons">
        <Button type="submit" look="primary" disabled={pending}>
          Save
        </Button>
        <Button onClick={onClose}>Cancel</Button>
      </div>
    </form>
  )
}

interface WhenFieldsProps {
  draft: CheckpointRules
  change: (part: Partial<CheckpointRules>) => void
}

function WhenFields({ draft, change }: WhenFieldsProps) {
  const { everyMinutes } = draft
  const minutes =
    everyMinutes === null || offeredMinutes.includes(everyMinutes)
      ? offeredMinutes
      : [...offeredMinutes, everyMinutes].sort((a, b) => a - b)
  return (
    <>
      <Choice
        label="While it runs, every"
        value={String(everyMinutes ?? 'never')}
        options={[['never', 'never'], ...minutes.map((each) => [String(each), everyWords(each)] as const)]}
        onChange={(value) => change({ everyMinutes: value === 'never' ? null : Number(value) })}
      />
      <div className="rules__switches">
        <SwitchLine
          label="Before it moves"
          on={draft.beforeMove}
          onChange={(beforeMove) => change({ beforeMove })}
        />
        <SwitchLine
          label="When the battery is low"
          on={draft.onLowBattery}
          onChange={(onLowBattery) => change({ onLowBattery })}
        />
        <SwitchLine
          label="Before this PC sleeps"
          on={draft.beforeSleep}
          onChange={(beforeSleep) => change({ beforeSleep })}
        />
        <SwitchLine
          label="When Wireless Dock+ is quit"
          on={draft.onQuit}
          onChange={(onQuit) => change({ onQuit })}
        />
      </div>
    </>
  )
}

interface KeepFieldsProps {
  keep: CheckpointRules['keep']
  change: (part: Partial<CheckpointRules['keep']>) => void
}

function KeepFields({ keep, change }: KeepFieldsProps) {
  const limits = { min: 0, max: 1000 }
  return (
    <fieldset className="rules__keep">
      <legend className="field__label">Keep of them</legend>
      <NumberField
        label="The newest"
        value={keep.last}
        onChange={(last) => change({ last })}
        min={1}
        max={1000}
      />
      <NumberField
        label="One an hour"
        unit="hours"
        value={keep.hourly}
        onChange={(hourly) => change({ hourly })}
        {...limits}
      />
      <NumberField
        label="One a day"
        unit="days"
        value={keep.daily}
        onChange={(daily) => change({ daily })}
        {...limits}
      />
      <NumberField
        label="One a week"
        unit="weeks"
        value={keep.weekly}
        onChange={(weekly) => change({ weekly })}
        {...limits}
      />
    </fieldset>
  )
}
