/** What both sides of a move are built from; made once by the composition root. */
import type { Duplex } from 'node:stream'
import type { LayerStore } from '../../disk/layers.ts'
import type { From } from '../../docks/dock-net.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Random } from '../../platform/random.ts'
import type { BootFileStore } from '../guests/boot-files.ts'
import type { GuestMachine } from '../guests/guest-environment.ts'
import type { Guests } from '../guests/guests.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Operations, RunningOperation } from '../operations.ts'
import type { PeerCalls } from '../peer-calls.ts'
import type { StateStore } from '../state-store.ts'
import type { Faults } from './faults.ts'
import type { LinkRates } from './link-rates.ts'
import type { WarmHeader } from './messages.ts'
import type { Visits } from './visits.ts'

export interface DockingParts {
  journalDir: string
  dataDir: string
  calls: PeerCalls
  guests: Guests
  machine: GuestMachine
  layers: LayerStore
  bootFiles: BootFileStore
  operations: Operations
  store: StateStore
  /** Null in tests: memory crosses as QEMU sends it. */
  visits: Visits | null
  rates: LinkRates
  clock: Clock
  random: Random
  log: Log
  /** Called before a guest leaves, in the operation of the move; what it throws ends the move. Null in tests. */
  beforeMove: ((guest: LocalGuest, move: RunningOperation) => Promise<void>) | null
  /** Takes a channel that brings a part of a guest in advance. Null in tests. */
  acceptWarm: ((from: From, header: WarmHeader) => Promise<(stream: Duplex) => void>) | null
  /** Null but in tests. */
  faults: Faults | null
}
