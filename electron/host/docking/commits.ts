/**
 * Commits that were executed here and whose source may not know it yet. Promises that a commit is remembered, over
 * crashes, until the source has let go of its copy: a source that asks and is told `unknown` runs the guest again.
 */
import type { Log } from '../../platform/log.ts'
import type { Journal, JournalHead } from './journal.ts'
import type { RestReceiver } from './post-copy-arrival.ts'

interface Commit {
  journal: Journal
  /** Settles when the guest's own record says that it belongs here; rejects when that could not be written. */
  settledIn: Promise<void>
  /** What takes the rest of its memory, where it ran before all of that was here. */
  rest: RestReceiver | null
}

export class Commits {
  readonly #log: Log
  readonly #commits = new Map<string, Commit>()

  constructor(log: Log) {
    this.#log = log
  }

  add(journal: Journal, settledIn: Promise<void>, rest: RestReceiver | null = null): void {
    const { guestId, migrationId } = journal.head
    settledIn.catch((error: unknown) =>
      this.#log.error('the record of a guest that arrived was not written', { guestId, error }),
    )
    this.#commits.set(migrationId, { journal, settledIn, rest })
  }

  has(dockId: string, migrationId: string): boolean {
    return this.#commits.get(migrationId)?.journal.head.otherDockId === dockId
  }

  /** Null where there is no such commit, or nothing was still to come when it was executed. */
  rest(dockId: string, migrationId: string): RestReceiver | null {
    return this.has(dockId, migrationId) ? (this.#commits.get(migrationId)?.rest ?? null) : null
  }

  /** Guests that run here and still lack memory. */
  fetching(): JournalHead[] {
    return [...this.#commits.values()]
      .filter(({ rest }) => rest?.end === null)
      .map(({ journal }) => journal.head)
  }

  /** What is still remembered, with the dock that may let it be forgotten. */
  list(): { migrationId: string; dockId: string }[] {
    return [...this.#commits.values()].map(({ journal: { head } }) => ({
      migrationId: head.migrationId,
      dockId: head.otherDockId,
    }))
  }

  /**
   * The source has let go of its copy. The journal goes once the guest's record stands without it; where that
   * could not be written, the journal stays and the next start tries again.
   */
  async forget(dockId: string, migrationId: string): Promise<void> {
    const commit = this.#commits.get(migrationId)
    if (commit?.journal.head.otherDockId !== dockId) return
    const written = await commit.settledIn.then(
      () => true,
      () => false,
    )
    if (!written) return
    this.#commits.delete(migrationId)
    await commit.journal.remove()
  }
}
