/** A pairing in words, from the question to how it ended. Pure. */
import { assertNever } from '../../shared/assert-never.ts'
import type { Pairing } from '../../shared/models/dock.ts'

export type PairingOutcome = Extract<Pairing['state'], { kind: 'ended' }>['outcome']

export interface PairingWords {
  title: string
  text: string
}

export function pairingWords({ state, role, dockName }: Pairing): PairingWords {
  const title = role === 'initiator' ? `Pairing with ${dockName}` : `${dockName} asks to pair with this PC`
  switch (state.kind) {
    case 'waiting-for-peer':
      return { title, text: `Waiting for ${dockName} to answer …` }
    case 'comparing':
      return { title, text: `Look at the screen of ${dockName}. Does it show the same six digits?` }
    case 'confirmed-here':
      return { title, text: `You said they match. Now confirm on ${dockName}.` }
    case 'ended':
      return endedWords(state.outcome, dockName)
    default:
      return assertNever(state)
  }
}

/** For a screen reader, which hears it when it changes. */
export function pairingAnnouncement(pairing: Pairing): string {
  const { title, text } = pairingWords(pairing)
  return `${title}. ${text}`
}

function endedWords(outcome: PairingOutcome, dockName: string): PairingWords {
  const title = `Not paired with ${dockName}`
  switch (outcome) {
    case 'paired':
      return { title: `Paired with ${dockName}`, text: 'Guests can now move between the two PCs.' }
    case 'refused':
      return { title, text: 'Somebody said that the digits differ, or stopped it.' }
    case 'timed-out':
      return { title, text: 'It was not confirmed on both PCs within two minutes.' }
    case 'failed':
      return {
        title,
        text: `The connection broke. Check that Wireless Dock+ runs on ${dockName}, then try again.`,
      }
    default:
      return assertNever(outcome)
  }
}
