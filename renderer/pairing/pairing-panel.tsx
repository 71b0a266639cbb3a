/**
 * The pairing question: the same six digits on both screens, and two people who say whether they match. It stands
 * in the page, never over it, and tells its outcome: a success until it has been read, a failure until it is
 * dismissed or tried again. Relies on the host to list one pairing at a time; what changes is spoken by the shell.
 */
import { CircleCheck, CircleX, Link2, X } from 'lucide-react'
import type { ReactNode } from 'react'
import type { Pairing } from '../../shared/models/dock.ts'
import { Button, IconButton } from '../kit/button.tsx'
import { Countdown } from '../kit/ticking.tsx'
import { type PairingOutcome, pairingWords } from '../model/pairing-words.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { usePending } from '../state/ui-store.ts'

/** The pairing that wants attention. `exceptId` is shown elsewhere on the page. */
export function PairingTray({ exceptId }: { exceptId: string | null }) {
  const pairings = useHost((state) => state.pairings)
  const shown = pairings.filter((pairing) => pairing.id !== exceptId)
  return shown.map((pairing) => <PairingPanel key={pairing.id} pairing={pairing} />)
}

export function PairingPanel({ pairing }: { pairing: Pairing }) {
  const { state } = pairing
  const { title, text } = pairingWords(pairing)
  return (
    <section className={`pairing pairing--${state.kind}`} aria-label={`Pairing with ${pairing.dockName}`}>
      <div className="pairing__head">
        {state.kind === 'ended' ? <EndedIcon outcome={state.outcome} /> : <Link2 size={20} aria-hidden />}
        <div>
          <h2>{title}</h2>
          <p>{text}</p>
        </div>
      </div>
      {state.kind === 'ended' ? (
        <EndedButtons pairing={pairing} outcome={state.outcome} />
      ) : (
        <OpenBody pairing={pairing} state={state} />
      )}
    </section>
  )
}

function EndedIcon({ outcome }: { outcome: PairingOutcome }) {
  return outcome === 'paired' ? (
    <CircleCheck className="pairing__good" size={20} aria-hidden />
  ) : (
    <CircleX className="pairing__bad" size={20} aria-hidden />
  )
}

function EndedButtons({ pairing, outcome }: { pairing: Pairing; outcome: PairingOutcome }) {
  const actions = useActions()
  const asking = usePending(`pair:${pairing.dockId}`)
  return (
    <div className="pairing__after">
      {outcome !== 'paired' && (
        <Button disabled={asking} onClick={() => void actions.pair(pairing.dockId)}>
          {asking ? 'Asking …' : 'Try again'}
        </Button>
      )}
      <IconButton label="Dismiss" onClick={() => void actions.dismissPairing(pairing.id)}>
        <X size={16} aria-hidden />
      </IconButton>
    </div>
  )
}

type OpenState = Exclude<Pairing['state'], { kind: 'ended' }>

function OpenBody({ pairing, state }: { pairing: Pairing; state: OpenState }) {
  const actions = useActions()
  const pending = usePending(`pairing:${pairing.id}`)
  const refuse = () => void actions.refusePairing(pairing.id)
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
