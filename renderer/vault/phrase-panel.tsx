/**
 * The recovery phrase: 24 numbered words to write down, copy, save or print, and a small check that this was done.
 * The check can be put off; a reminder stays until it is done. The words are fetched when they are wanted and kept
 * nowhere in the page.
 */
import { Download, Eye, Printer } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { Button } from '../kit/button.tsx'
import { CopyButton } from '../kit/copy-button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { useFocusOnMount } from '../kit/focus-on-mount.ts'
import { Section } from '../kit/page.tsx'
import { TextField } from '../kit/text-field.tsx'
import { dateWords } from '../model/dates.ts'
import { askedWords, isWord, phraseFile, phraseWords } from '../model/phrase.ts'
import { useActions } from '../state/app-context.tsx'
import { showDone } from '../state/toasts.ts'
import { usePending } from '../state/ui-store.ts'

/** On the vault's page: whether it is kept, and the way to see it. */
export function PhraseSection({ isSeen, placeSentence }: { isSeen: boolean; placeSentence: string }) {
  const actions = useActions()
  const pending = usePending('phrase')
  const [phrase, setPhrase] = useState<string | null>(null)
  const [error, setError] = useState<ErrorShape | null>(null)
  async function show(): Promise<void> {
    const answer = await actions.showPhrase()
    if ('error' in answer) setError(answer.error)
    else setPhrase(answer.phrase)
  }
  if (phrase !== null) {
    return (
      <PhrasePanel
        phrase={phrase}
        placeSentence={placeSentence}
        isNew={!isSeen}
        onClose={() => setPhrase(null)}
      />
    )
  }
  return (
    <Section title="Recovery phrase">
      <p>
        {isSeen
          ? 'You have written it down. Its 24 words open this vault on any PC.'
          : 'It is not written down yet. Without its 24 words, nobody can open the vault after this PC is lost.'}
      </p>
      {error !== null && <ErrorNotice error={error} />}
      <div>
        <Button
          look={isSeen ? 'plain' : 'primary'}
          icon={<Eye size={16} aria-hidden />}
          disabled={pending}
          onClick={() => void show()}
        >
          {isSeen ? 'Show it' : 'Show it and write it down'}
        </Button>
      </div>
    </Section>
  )
}

interface PhrasePanelProps {
  phrase: string
  placeSentence: string
  /** Nobody has said yet that it is written down. */
  isNew: boolean
  onClose: () => void
}

export function PhrasePanel({ phrase, placeSentence, isNew, onClose }: PhrasePanelProps) {
  const [isChecking, setChecking] = useState(false)
  const words = phraseWords(phrase)
  return isChecking ? (
    <PhraseCheck words={words} onBack={() => setChecking(false)} onDone={onClose} />
  ) : (
    <PhraseWords
      words={words}
      placeSentence={placeSentence}
      isNew={isNew}
      onWritten={() => setChecking(true)}
      onClose={onClose}
    />
  )
}

interface PhraseWordsProps extends Omit<PhrasePanelProps, 'phrase'> {
  words: readonly string[]
  onWritten: () => void
}

function PhraseWords({ words, placeSentence, isNew, onWritten, onClose }: PhraseWordsProps) {
  const section = useFocusOnMount<HTMLElement>()
  return (
    <section className="section phrase" aria-label="Recovery phrase" ref={section} tabIndex={-1}>
      <h2>{isNew ? 'Write down the recovery phrase' : 'Recovery phrase'}</h2>
      <p>
        These 24 words open the vault on any PC, when this one is lost or broken. Keep them apart from this
        PC, best on paper. Whoever has them and can reach {placeSentence} can read everything in it.
      </p>
      <ol className="phrase__words" aria-label="The 24 words">
        {numbered(words).map(({ number, word }) => (
          <li key={number} className="phrase__word">
            {word}
          </li>
        ))}
      </ol>
      <KeepButtons words={words} placeSentence={placeSentence} />
      <div className="form__buttons">
        {isNew ? (
          <>
            <Button look="primary" onClick={onWritten}>
              I have written it down
            </Button>
            <Button onClick={onClose}>Later</Button>
          </>
        ) : (
          <Button onClick={onClose}>Hide it</Button>
        )}
      </div>
    </section>
  )
}

/** Words may repeat; their places do not. */
function numbered(words: readonly string[]): { number: number; word: string }[] {
  return words.map((word, index) => ({ number: index + 1, word }))
}

function KeepButtons({ words, placeSentence }: { words: readonly string[]; placeSentence: string }) {
  const text = phraseFile(words, placeSentence, dateWords(Date.now()))
  return (
    <div className="phrase__keep">
      <CopyButton look="plain" text={words.join(' ')} label="Copy" />
      <Button icon={<Download size={16} aria-hidden />} onClick={() => saveText('recovery-phrase.txt', text)}>
        Save as text
      </Button>
      <Button icon={<Printer size={16} aria-hidden />} onClick={() => window.print()}>
        Print
      </Button>
    </div>
  )
}

function saveText(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }))
  const anchor = document.createElement('a')
  anchor.href = url
  anchor.download = name
  anchor.click()
  // The download has its own hold on the text once it has begun.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

interface PhraseCheckProps {
  words: readonly string[]
  onBack: () => void
  onDone: () => void
}

function wordProblem(typed: string, isRight: boolean): string | undefined {
  if (typed.trim() === '') return 'Type the word.'
  return isRight ? undefined : 'That is another word.'
}

/** Asks for two of the words, with the others out of sight. */
function PhraseCheck({ words, onBack, onDone }: PhraseCheckProps) {
  const actions = useActions()
  const pending = usePending('phrase')
  const first = useFocusOnMount<HTMLInputElement>()
  const [typed, setTyped] = useState<Record<number, string>>({})
  const [asked, setAsked] = useState(false)
  const isRight = (number: number): boolean => isWord(words, number, typed[number] ?? '')
  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    setAsked(true)
    if (!askedWords.every(isRight)) return
    if (!(await actions.phraseSeen())) return
    showDone('The recovery phrase is safe with you.')
    onDone()
  }
  return (
    <Section title="A small check">
      <p>Look at what you wrote down and type these two words.</p>
      <form className="vault-setup" onSubmit={(event) => void submit(event)} noValidate>
        <div className="form__row">
          {askedWords.map((number) => (
            <TextField
              key={number}
              ref={number === askedWords[0] ? first : null}
              label={`Word ${number}`}
              value={typed[number] ?? ''}
              onChange={(word) => {
                setTyped((old) => ({ ...old, [number]: word }))
                setAsked(false)
              }}
              problem={asked ? wordProblem(typed[number] ?? '', isRight(number)) : undefined}
            />
          ))}
        </div>
        <div className="form__buttons">
          <Button type="submit" look="primary" disabled={pending}>
            Done
          </Button>
          <Button onClick={onBack}>Show the words again</Button>
        </div>
      </form>
    </Section>
  )
}
