/** The host as its faces see it: the handlers of the contract, and the byte streams that no contract carries. */
import type { Duplex } from 'node:stream'
import type { ContractHandlers } from '../../shared/contract-handlers.ts'

export type { CallContext, ContractHandlers } from '../../shared/contract-handlers.ts'

/**
 * Handlers are called without `this`. `host.quit` only agrees: whoever started the host stops it when the
 * answer has gone out. `guests.openScreen` answers with the path `/screen/<ticket>`: the face, which knows
 * where its local server listens, makes it an address.
 */
export type HostService = ContractHandlers & {
  readonly screens: {
    /**
     * Opens the VNC stream behind a ticket of `guests.openScreen`. A ticket is good once and for 30 s.
     * @throws guest.not_found, guest.no_screen, dock.unreachable, or host.bad_input for an unknown ticket
     */
    connect(ticket: string): Promise<Duplex>
  }
}
