/** A guest's state as it reads in a sentence: "Demo is …". */
import type { GuestState } from '../../../shared/models/guest.ts'

export function stateInWords(state: GuestState): string {
  switch (state.kind) {
    case 'stopped':
    case 'starting':
    case 'running':
    case 'paused':
      return state.kind
    case 'shutting-down':
      return 'shutting down'
    case 'preparing':
      return 'being prepared'
    case 'arriving':
      return 'arriving from another PC'
    case 'unsettled':
      return 'not settled after a move'
    case 'failed':
      return 'stopped by a failure'
  }
}
