/** What the host and the vault's thread say to each other. Both sides are of one program: the types are trusted. */
import type { ErrorShape } from '../../../shared/errors/index.ts'
import type { LogLevel } from '../../platform/log.ts'
import type { VaultEvent, VaultService } from './vault-service.ts'

/** What can be asked of the thread. Complete: `satisfies` and the type below say so. */
export const serviceMethods = [
  ...(['look', 'create', 'open', 'phrase', 'close'] as const),
  ...(['list', 'picture', 'relabel', 'remove', 'stats', 'check', 'sweep', 'cancelWork'] as const),
  ...(['beginCapture', 'memoryCaptured', 'captureDisk', 'completeCapture', 'abandonCapture'] as const),
  ...(['beginRestore', 'restoreBootFile', 'serveDisk', 'sendMemory', 'endRestore'] as const),
  ...(['lend', 'revoke', 'lent', 'lookAtLink'] as const),
] as const satisfies readonly (keyof VaultService)[]

/** Whoever forwards a method that is missing above does not compile. */
export type ServiceMethod = (typeof serviceMethods)[number]

/** From the host. */
export type ThreadRequest =
  | { kind: 'call'; callId: number; method: ServiceMethod; args: readonly unknown[] }
  /** Stop everything, so that the thread can be ended. */
  | { kind: 'end' }

/** To the host. */
export type ThreadReply =
  | { kind: 'result'; callId: number; value: unknown }
  | { kind: 'failure'; callId: number; error: ErrorShape }
  | { kind: 'event'; event: VaultEvent }
  | { kind: 'log'; level: LogLevel; message: string; fields: string }
  | { kind: 'ended' }

/** Handed to the thread when it starts. */
export interface ThreadStart {
  azuriteFolder: string
}
