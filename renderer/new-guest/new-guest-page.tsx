/** Describes a new guest: where it comes from, its name, its size. Complaints appear once a field was asked for. */
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import { Button } from '../kit/button.tsx'
import { Choice } from '../kit/choice.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { NumberField } from '../kit/number-field.tsx'
import { Page } from '../kit/page.tsx'
import { TextField } from '../kit/text-field.tsx'
import { useActions, useHost } from '../state/app-context.tsx'
import { navigate, routeHref } from '../state/route.ts'
import { usePending } from '../state/ui-store.ts'
import { type Draft, freshDraft, type Problems, readDraft, withKind } from './draft.ts'
import { SourceFields, SourcePicker } from './source-fields.tsx'

export interface DraftProps {
  draft: Draft
  change: (part: Partial<Draft>) => void
  problems: Problems
}

export function NewGuestPage() {
  const actions = useActions()
  const pending = usePending('create')
  const demoAvailable = useHost((state) => state.info.demoGuestAvailable)
  const emulates = useHost(thisPcEmulates)
  const [draft, setDraft] = useState(() => freshDraft({ emulates, demoAvailable }))
  const [asked, setAsked] = useState(false)
  const [error, setError] = useState<ErrorShape | null>(null)
  const read = readDraft(draft)
  const problems = asked && 'problems' in read ? read.problems : {}
  const change = (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part }))
  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    const form = event.currentTarget
    setAsked(true)
    if (!('guest' in read)) return focusFirstProblem(form)
    const outcome = await actions.create(read.guest)
    if ('error' in outcome) setError(outcome.error)
    else navigate({ kind: 'desk' })
  }
  return (
    <Page
      title="New guest"
      subtitle={
        <p className="page__subtitle">
          Did somebody lend you one? <a href={routeHref({ kind: 'receive', link: null })}>Paste its link</a>
        </p>
      }
    >
      <form className="form" onSubmit={(event) => void submit(event)} noValidate>
        <SourcePicker
          kind={draft.kind}
          demoAvailable={demoAvailable}
          onChange={(kind) => setDraft((old) => withKind(old, kind))}
        />
        <SourceFields draft={draft} change={change} problems={problems} />
        <SizeFields draft={draft} change={change} problems={problems} />
        {error !== null && <ErrorNotice error={error} />}
        <div className="form__buttons">
          <Button type="submit" look="primary" disabled={pending}>
            {pending ? 'Creating …' : 'Create guest'}
          </Button>
          <Button onClick={() => navigate({ kind: 'desk' })}>Cancel</Button>
        </div>
      </form>
    </Page>
  )
}

function thisPcEmulates({ docks }: HostState): boolean {
  const here = docks.find((dock) => dock.presence.kind === 'here')
  return here?.capabilities?.accelerator.kind === 'tcg'
}

/** After the complaints are shown: the person goes on typing where the first one is. */
function focusFirstProblem(form: HTMLFormElement): void {
  requestAnimationFrame(() => form.querySelector<HTMLElement>('input[data-invalid]')?.focus())
}

function SizeFields({ draft, change, problems }: DraftProps) {
  return (
    <>
      <TextField
        label="Name"
        value={draft.name}
        onChange={(name) => change({ name })}
        problem={problems.name}
        maxLength={64}
        placeholder="for example: Workshop"
      />
      <div className="form__row">
        <NumberField
          label="Cores"
          value={draft.cores}
          onChange={(cores) => change({ cores })}
          min={1}
          max={64}
        />
        <NumberField
          label="Memory"
          unit="MiB"
          value={draft.memoryMebibytes}
          onChange={(memoryMebibytes) => change({ memoryMebibytes })}
          min={128}
          max={1024 ** 2}
          step={256}
        />
        <Choice
          label="Network"
          value={draft.network}
          options={[
            ['user', 'Internet'],
            ['none', 'None'],
          ]}
          onChange={(network) => change({ network })}
        />
      </div>
      {(problems.cores ?? problems.memoryMebibytes) !== undefined && (
        <p className="field__problem">{problems.cores ?? problems.memoryMebibytes}</p>
      )}
    </>
  )
}
