/**
 * The one place where this PC keeps checkpoints: setting it up, its recovery phrase, what it takes, whether it is
 * whole, and how to leave it.
 */
import { useState } from 'react'
import { assertNever } from '../../shared/assert-never.ts'
import type { VaultState } from '../../shared/models/checkpoint.ts'
import { VaultTrouble } from '../checkpoints/vault-notices.tsx'
import { Button } from '../kit/button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { useFocusOnMount } from '../kit/focus-on-mount.ts'
import { Facts, Page, Section } from '../kit/page.tsx'
import { useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { showDone } from '../state/toasts.ts'
import { ask } from '../state/ui-store.ts'
import { Maintenance } from './maintenance.tsx'
import { PhrasePanel, PhraseSection } from './phrase-panel.tsx'
import { VaultSetup } from './vault-setup.tsx'

type Ready = Extract<VaultState, { kind: 'ready' }>

const back = { href: routeHref({ kind: 'checkpoints', guestId: null }), name: 'Checkpoints' }

export function VaultPage() {
  const vault = useHost((state) => state.vault)
  /** Of a vault that has just been made. */
  const [phrase, setPhrase] = useState<string | null>(null)
  return (
    <Page
      title="The vault"
      back={back}
      subtitle={<p className="page__subtitle">The one place where checkpoints are kept, encrypted</p>}
    >
      {vault.kind === 'ready' && phrase !== null ? (
        <PhrasePanel
          phrase={phrase}
          placeSentence={vault.placeSentence}
          isNew
          onClose={() => setPhrase(null)}
        />
      ) : (
        <VaultView vault={vault} onCreated={setPhrase} />
      )}
    </Page>
  )
}

interface VaultViewProps {
  vault: VaultState
  onCreated: (phrase: string) => void
}

function VaultView({ vault, onCreated }: VaultViewProps) {
  switch (vault.kind) {
    case 'none':
      return <VaultSetup onCreated={onCreated} onOpened={toldOpened} />
    case 'opening':
      return <p role="status">Opening it …</p>
    case 'failed':
      return (
        <>
          <ErrorNotice error={vault.error} />
          <Leave onCreated={onCreated} isUrgent />
        </>
      )
    case 'ready':
      return <ReadyView vault={vault} onCreated={onCreated} />
    default:
      return assertNever(vault)
  }
}

function toldOpened(): void {
  showDone('Opened the vault.')
}

function ReadyView({ vault, onCreated }: { vault: Ready; onCreated: (phrase: string) => void }) {
  return (
    <>
      {vault.trouble !== null && <VaultTrouble trouble={vault.trouble} />}
      <Section title="Where and how">
        <Facts
          rows={[
            ['Place', vault.placeSentence],
            ['Key', vault.keySentence],
            [
              'Encryption',
              'Everything is encrypted on this PC before it leaves it. Whoever runs the place sees sizes and times only.',
            ],
            [
              'Lending',
              vault.canLend
                ? 'by a link, for as long as you choose'
                : 'not from here: links need cloud storage with its account key',
            ],
          ]}
        />
      </Section>
      <PhraseSection isSeen={vault.phraseSeen} placeSentence={vault.placeSentence} />
      <Maintenance />
      <Leave onCreated={onCreated} isUrgent={vault.trouble?.error.permanent ?? false} />
    </>
  )
}

interface LeaveProps {
  onCreated: (phrase: string) => void
  /** Nothing goes on until the place is entered anew. */
  isUrgent: boolean
}

/** New access to the same vault, another one, or none. */
function Leave({ onCreated, isUrgent }: LeaveProps) {
  const [isChanging, setChanging] = useState(false)
  const opened = () => {
    setChanging(false)
    toldOpened()
  }
  if (isChanging) {
    return (
      <>
        <AnewTitle />
        <VaultSetup onCreated={onCreated} onOpened={opened} onCancel={() => setChanging(false)} />
      </>
    )
  }
  return (
    <Section title="Change or forget it">
      <p>
        When its access has expired or its address has changed, enter it anew: the same vault opens again with
        its recovery phrase. Checkpoints are never moved from one place to another.
      </p>
      <div className="form__buttons">
        <Button look={isUrgent ? 'primary' : 'plain'} onClick={() => setChanging(true)}>
          Enter the place anew…
        </Button>
        <Button look="danger" onClick={() => ask({ kind: 'forget-vault' })}>
          Forget it on this PC…
        </Button>
      </div>
    </Section>
  )
}

function AnewTitle() {
  const title = useFocusOnMount<HTMLHeadingElement>()
  return (
    <h2 ref={title} tabIndex={-1}>
      Another place, or new access
    </h2>
  )
}
