/**
 * Sets a vault up in two steps: the place, which is looked at first; then, as that turns out, a new vault, the
 * phrase of the one that is there, or another place.
 */
import { CircleCheck, FolderPlus, TriangleAlert } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { PlaceFinding, VaultPlace } from '../../shared/models/checkpoint.ts'
import { Button } from '../kit/button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { TextArea } from '../kit/text-area.tsx'
import { phraseProblem, phraseWords } from '../model/phrase.ts'
import { useActions } from '../state/app-context.tsx'
import { usePending } from '../state/ui-store.ts'
import { emptyPlace, type PlaceDraft, type PlaceProblems, readPlace } from './place-draft.ts'
import { PlaceFields } from './place-fields.tsx'

interface VaultSetupProps {
  onCreated: (phrase: string) => void
  onOpened: () => void
  onCancel?: () => void
}

export function VaultSetup({ onCreated, onOpened, onCancel }: VaultSetupProps) {
  const actions = useActions()
  const pending = usePending('vault')
  const [draft, setDraft] = useState(emptyPlace)
  const [problems, setProblems] = useState<PlaceProblems>({})
  const [error, setError] = useState<ErrorShape | null>(null)
  const [looked, setLooked] = useState<{ place: VaultPlace; found: PlaceFinding } | null>(null)
  function change(part: Partial<PlaceDraft>): void {
    setDraft((old) => ({ ...old, ...part }))
    setProblems({})
    setError(null)
    setLooked(null)
  }
  async function look(): Promise<void> {
    const read = readPlace(draft)
    if ('problems' in read) return setProblems(read.problems)
    const answer = await actions.lookAtPlace(read.place)
    setError('error' in answer ? answer.error : null)
    setLooked('error' in answer ? null : { place: read.place, found: answer.kind })
  }
  return (
    <div className="form">
      <form
        className="vault-setup"
        onSubmit={(event) => {
          event.preventDefault()
          void look()
        }}
        noValidate
      >
        <PlaceFields draft={draft} change={change} problems={problems} />
        {error !== null && <ErrorNotice error={error} />}
        {(looked === null || looked.found === 'other-files') && (
          <div className="form__buttons">
            <Button type="submit" look="primary" disabled={pending}>
              {pending ? 'Looking …' : 'Continue'}
            </Button>
            {onCancel !== undefined && <Button onClick={onCancel}>Cancel</Button>}
          </div>
        )}
      </form>
      {looked !== null && (
        <NextStep
          {...looked}
          onLookAgain={() => void look()}
          onCreated={onCreated}
          onOpened={onOpened}
          onCancel={() => (onCancel ?? (() => setLooked(null)))()}
        />
      )}
    </div>
  )
}

interface NextStepProps {
  place: VaultPlace
  found: PlaceFinding
  onLookAgain: () => void
  onCreated: (phrase: string) => void
  onOpened: () => void
  onCancel: () => void
}

function NextStep(props: NextStepProps) {
  switch (props.found) {
    case 'empty':
    case 'no-folder':
      return <MakeVault {...props} />
    case 'vault':
      return <OpenVault {...props} />
    case 'other-files':
      return (
        <div className="notice notice--error" role="alert">
          <TriangleAlert size={18} aria-hidden />
          <div className="notice__body">
            <p className="notice__title">There are other files in it</p>
            <p>
              A vault wants a place of its own. Choose{' '}
              {props.place.kind === 'folder'
                ? 'an empty folder, or add the name of a new one to the path'
                : 'another container'}
              .
            </p>
          </div>
        </div>
      )
  }
}

function MakeVault({ place, found, onLookAgain, onCreated, onCancel }: NextStepProps) {
  const actions = useActions()
  const pending = usePending('vault')
  const [error, setError] = useState<ErrorShape | null>(null)
  async function make(): Promise<void> {
    const answer = await actions.createVault(place)
    if ('error' in answer) setError(answer.error)
    else onCreated(answer.phrase)
  }
  return (
    <div className="vault-setup">
      <p className="vault-setup__found" role="status">
        {found === 'empty' ? (
          <>
            <CircleCheck size={17} aria-hidden /> The place is empty and can be used: a new vault is made in
            it.
          </>
        ) : (
          <>
            <FolderPlus size={17} aria-hidden /> This folder is not there yet: it is made, with a new vault in
            it. If there should be one already, connect its drive or network share first, then look again.
          </>
        )}
      </p>
      {error !== null && <ErrorNotice error={error} />}
      <div className="form__buttons">
        <Button look="primary" disabled={pending} onClick={() => void make()}>
          {pending ? 'Making it …' : 'Make a vault here'}
        </Button>
        {found === 'no-folder' && <Button onClick={onLookAgain}>Look again</Button>}
        <Button onClick={onCancel}>Cancel</Button>
      </div>
    </div>
  )
}

function OpenVault({ place, onOpened, onCancel }: NextStepProps) {
  const actions = useActions()
  const pending = usePending('vault')
  const [text, setText] = useState('')
  const [asked, setAsked] = useState(false)
  const [error, setError] = useState<ErrorShape | null>(null)
  const problem = phraseProblem(text)
  async function open(event: FormEvent): Promise<void> {
    event.preventDefault()
    setAsked(true)
    if (problem !== null) return
    const failure = await actions.openVault(place, phraseWords(text).join(' '))
    setError(failure)
    if (failure === null) onOpened()
  }
  return (
    <form className="vault-setup" onSubmit={(event) => void open(event)}>
      <p className="vault-setup__found" role="status">
        <CircleCheck size={17} aria-hidden /> There is a vault in this place. Its recovery phrase opens it.
      </p>
      <TextArea
        label="Recovery phrase"
        isCode
        rows={4}
        value={text}
        onChange={(next) => {
          setText(next)
          setError(null)
        }}
        maxLength={1000}
        placeholder="the 24 words, in order"
        problem={asked ? (problem ?? undefined) : undefined}
        hint={
          text === ''
            ? 'Paste all words at once; numbers, capitals and line breaks do not matter.'
            : (problem ?? 'All 24 words are there.')
        }
      />
      {error !== null && <ErrorNotice error={error} />}
      <div className="form__buttons">
        <Button type="submit" look="primary" disabled={pending}>
          {pending ? 'Opening it …' : 'Open the vault'}
        </Button>
        <Button onClick={onCancel}>Cancel</Button>
      </div>
    </form>
  )
}
