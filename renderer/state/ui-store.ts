/** What only this page knows: what is being dragged, asked, waited for. Nothing in here is a copy of the host's state. */
import { create } from 'zustand'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Checkpoint, LentLink } from '../../shared/models/checkpoint.ts'
import type { Dock } from '../../shared/models/dock.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { MigrationRequest } from '../../shared/models/migration.ts'

/** The one question that may be open at a time. */
export type Question =
  | { kind: 'rename'; guest: Guest }
  | { kind: 'delete'; guest: Guest }
  | { kind: 'force-off'; guest: Guest }
  | { kind: 'post-copy'; guest: Guest; dock: Dock }
  | { kind: 'run-here'; guest: Guest; migrationId: string; otherName: string }
  | { kind: 'give-up-here'; guest: Guest; migrationId: string; otherName: string }
  | { kind: 'unpair'; dock: Dock }
  | { kind: 'restore'; checkpoint: Checkpoint }
  | { kind: 'lend'; checkpoint: Checkpoint }
  | { kind: 'relabel'; checkpoint: Checkpoint }
  | { kind: 'make-named'; guest: Guest }
  | { kind: 'delete-checkpoint'; checkpoint: Checkpoint }
  | { kind: 'revoke'; link: LentLink }
  | { kind: 'forget-vault' }
  | { kind: 'forget-kept' }

export interface Blocked {
  request: MigrationRequest
  /** The dock on whose desk it was asked for: there it is told. */
  at: string
  errors: ErrorShape[]
}

interface UiState {
  question: Question | null
  /** Why the last wish to move could not be met. */
  blocked: Blocked | null
  dragged: { guestId: string; fromDockId: string } | null
  /** Keys of calls that have not been answered yet. */
  pending: ReadonlySet<string>
}

export const useUi = create<UiState>()(() => ({
  question: null,
  blocked: null,
  dragged: null,
  pending: new Set(),
}))

export function ask(question: Question | null): void {
  useUi.setState({ question })
}

export function setPending(key: string, isPending: boolean): void {
  useUi.setState((ui) => {
    const pending = new Set(ui.pending)
    if (isPending) pending.add(key)
    else pending.delete(key)
    return { pending }
  })
}

/** Why a guest's last wish to move was refused, where it was asked for on the desk of dock `at`; else null. */
export function useBlocked(guestId: string, at: string): Blocked | null {
  return useUi(({ blocked }) =>
    blocked !== null && blocked.request.guestId === guestId && blocked.at === at ? blocked : null,
  )
}

export function usePending(key: string): boolean {
  return useUi((ui) => ui.pending.has(key))
}
