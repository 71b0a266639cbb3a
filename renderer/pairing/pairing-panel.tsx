/**
 * The pairing question: the same six digits on both screens, and two people who say whether they match. It stands
 * in the page, never over it, and tells its outcome.
 */
import { CircleCheck, CircleX, Link2 } from 'lucide-react'
import type { ReactNode } from 'react'
import { assertNever } from '../../shared/assert-never.ts'
import type { Pairing } from '../../shared/models/dock.ts'
import { Button } from '../kit/button.tsx'
import { Countdown } from '../kit/ticking.tsx'
import { endedWords } from '../model/pairing-words.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { hidePairing, usePending, useUi } from '../state/ui-store.ts'

/** All pairings that want attention. `exceptId` is shown elsewhere on the page. */
export function PairingTray({ exceptId }: { exceptId: string | null }) {
  const pairings = useHost((state) => state.pairings)
  const hidden = useUi((ui) => ui.hiddenPairings)
  const shown = pairings.filter((pairing) => pairing.id !== exceptId && !hidden.has(pairing.id))
  return shown.map((pairing) => <PairingPanel key={pairing.id} pairing={pairing} />)
}

export function PairingPanel({ pairing }: { pairing: Pairing }) {
  const { state } = pairing
  return (
    <section className={`pairing pairing--${state.kind}`} aria-label={`Pairing with ${pairing.dockName}`}>
      <div className="pairing__head" role="status">
        {state.kind === 'ended' ? <EndedIcon outcome={state.outcome} /> : <Link2 size={20} aria-hidden />}
        <div>
          <h2>{titleOf(pairing)}</h2>
          <p>{explanation(pairing)}</p>
        </div>
      </div>
      <PairingBody pairing={pairing} />
    </section>
  )
}

function EndedIcon({ outcome }: { outcome: 'paired' | 'refused' | 'timed-out' | 'failed' }) {
  return outcome === 'paired' ? <CircleCheck size={20} aria-hidden /> : <CircleX size={20} aria-hidden />
}

function titleOf({ state, role, dockName }: Pairing): string {
  if (state.kind === 'ended') return endedWords(state.outcome, dockName).title
  return role === 'initiator' ? `Pairing with ${dockName}` : `${dockName} asks to pair with this PC`
}

function explanation({ state, dockName }: Pairing): string {
  switch (state.kind) {
    case 'waiting-for-peer':
      return `Waiting for ${dockName} to answer …`
    case 'comparing':
      return `Look at the screen of ${dockName}. Does it show the same six digits?`
    case 'confirmed-here':
      return `You said they match. Now confirm on ${dockName}.`
    case 'ended':
      return endedWords(state.outcome, dockName).text
    default:
      return assertNever(state)
  }
}

function PairingBody({ pairing }: { pairing: Pairing }) {
  const actions = useActions()
  const pending = usePending(`pairing:${pairing.id}`)
  const { state } = pairing
  const refuse = () => void actions.refusePairing(pairing.id)
  if (state.kind === 'ended') return <Button onClick={() => hidePairing(pairing.id)}>Done</Button>
  if (state.kind === 'waiting-for-peer') {
    return (
      <Buttons untilMs={pairing.expiresAtMs}>
        <Button disabled={pending} onClick={refuse}>
          Stop
        </Button>
      </Buttons>
    )
  }
  return (
    <>
      <Code digits={state.code} />
      <Buttons untilMs={pairing.expiresAtMs}>
        {state.kind === 'comparing' && (
          <Button look="primary" disabled={pending} onClick={() => void actions.confirmPairing(pairing.id)}>
            They match
          </Button>
        )}
        <Button disabled={pending} onClick={refuse}>
          {state.kind === 'comparing' ? 'They differ' : 'Stop'}
        </Button>
      </Buttons>
    </>
  )
}

function Code({ digits }: { digits: string }) {
  return (
    <p className="pairing__code" role="img" aria-label={`Code ${digits.split('').join(' ')}`}>
      <span aria-hidden>{digits.slice(0, 3)}</span>
      <span aria-hidden>{digits.slice(3)}</span>
    </p>
  )
}

function Buttons({ untilMs, children }: { untilMs: number; children: ReactNode }) {
  return (
    <div className="pairing__buttons">
      {children}
      <span className="pairing__time">
        <Countdown untilMs={untilMs} /> left
      </span>
    </div>
  )
}
