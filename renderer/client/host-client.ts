/**
 * What the page knows of the host: a client derived from the contract, and whether the host is in touch.
 * Relies on the contract alone, so that fixtures and real transports look the same from here.
 */
import type { ContractRouterClient } from '@orpc/contract'
import type { Contract } from '../../shared/contract.ts'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { HostEvent } from '../../shared/models/host-state.ts'

export type HostClient = ContractRouterClient<Contract>

/** Whether the host answers. `away` is shown to people with its reason, `connecting` only at the very start. */
export type LinkState = { kind: 'connecting' } | { kind: 'live' } | { kind: 'away'; error: ErrorShape }

export interface ConnectionListener {
  onEvent(event: HostEvent): void
  onLink(state: LinkState): void
}

export interface HostConnection {
  readonly client: HostClient
  /** Watches the host until the returned function is called; watches again after every loss. */
  start(listener: ConnectionListener): () => void
}
