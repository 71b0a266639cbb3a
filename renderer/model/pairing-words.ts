/** How a pairing ended, in words. Pure. */
import { assertNever } from '../../shared/assert-never.ts'

export type PairingOutcome = 'paired' | 'refused' | 'timed-out' | 'failed'

export function endedWords(outcome: PairingOutcome, dockName: string): { title: string; text: string } {
  switch (outcome) {
    case 'paired':
      return { title: `Paired with ${dockName}`, text: 'Guests can now move between the two PCs.' }
    case 'refused':
      return {
        title: `Not paired with ${dockName}`,
        text: 'Somebody said that the digits differ or stopped it. Try again if that was a mistake.',
      }
    case 'timed-out':
      return {
        title: `Not paired with ${dockName}`,
        text: 'It was not confirmed on both PCs in time. Start again and confirm within two minutes.',
      }
    case 'failed':
      return {
        title: `Not paired with ${dockName}`,
        text: 'The connection broke. Check that the other PC is on and try again.',
      }
    default:
      return assertNever(outcome)
  }
}
