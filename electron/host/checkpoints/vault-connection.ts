/** What the host holds of the thread in which the vault works. */
import type { WdockError } from '../../../shared/errors/index.ts'
import type { VaultEvent, VaultService } from '../../vault/service/vault-service.ts'

export interface VaultConnection {
  readonly service: VaultService
  /** Resolves with the reason when the thread has ended by itself; its calls have failed then. */
  readonly died: Promise<WdockError>
  /** Ends the thread. What is on its way into the vault goes on when it is opened again. */
  end(): Promise<void>
}

/** Starts the thread. */
export type ConnectVault = (onEvent: (event: VaultEvent) => void) => VaultConnection
