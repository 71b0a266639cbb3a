/** What the host and the thread of a visit say to each other. */
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { VisitNote } from '../pages/kept/visit-note.ts'
import type { DecoderStats } from './decoder.ts'
import type { EncoderStats } from './encoder.ts'
import type { FilePlace } from './known-files.ts'

/** Where what is kept of the guest lies; the key is that of the dock, or of this visit alone. */
export interface KeptPlace {
  folder: string
  dockKey: Uint8Array
}

export type VisitStart = { kept: KeptPlace; files: readonly FilePlace[] } & (
  | {
      role: 'sender'
      /** Where QEMU connects, and where the relay listens. */
      listenPath: string
      relayPath: string
      /** 16 and 32 random bytes: see `EncoderOptions`. */
      visit: Uint8Array
      newIdKey: Uint8Array
      /** Null where it is not known. */
      linkBytesPerS: number | null
      mayStop: boolean
    }
  | {
      role: 'receiver'
      /** Where the relay connects, and where QEMU listens; null without one: see `ReceiverOptions`. */
      listenPath: string
      qemuPath: string | null
    }
)

export type VisitRequest = { kind: 'keep'; note: VisitNote } | { kind: 'aside' }

export type VisitStats =
  | ({ role: 'sender'; isAside: boolean; linkWaitMs: number } & EncoderStats)
  | ({ role: 'receiver' } & DecoderStats)

export type VisitReply =
  | { kind: 'listening' }
  | { kind: 'stats'; stats: VisitStats }
  /** Both sockets have ended; `error` null where that is as it should be. */
  | { kind: 'ended'; error: ErrorShape | null }
  | { kind: 'kept'; error: ErrorShape | null }
