/** The migrations of this dock, newest first, in one bounded file. Feeds the state. */
import { join } from 'node:path'
import { z } from 'zod'
import { keptMigrations } from '../../../shared/models/host-state.ts'
import { type MigrationRecord, migrationRecord } from '../../../shared/models/migration.ts'
import { readJson, writeJsonAtomic } from '../../platform/atomic-file.ts'
import type { StateStore } from '../state-store.ts'

const historyFile = z.strictObject({ version: z.literal(1), migrations: z.array(migrationRecord) })

export class MigrationHistory {
  readonly #path: string
  #records: MigrationRecord[]
  #store: StateStore | null = null
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, records: MigrationRecord[]) {
    this.#path = path
    this.#records = records
  }

  /** @throws host.state_unreadable */
  static async open(dataDir: string): Promise<MigrationHistory> {
    const path = join(dataDir, 'migrations.json')
    return new MigrationHistory(path, (await readJson(path, historyFile))?.migrations ?? [])
  }

  get records(): MigrationRecord[] {
    return this.#records
  }

  /** Tells `store` of each record from now on. */
  feed(store: StateStore): void {
    this.#store = store
  }

  /** Adds a record once; a second telling of the same migration is ignored. */
  add(record: MigrationRecord): Promise<void> {
    if (this.#records.some((known) => known.id === record.id)) return Promise.resolve()
    this.#records = [record, ...this.#records].slice(0, keptMigrations)
    this.#store?.apply({ type: 'migration.recorded', record })
    const write = (): Promise<void> => writeJsonAtomic(this.#path, { version: 1, migrations: this.#records })
    this.#writing = this.#writing.then(write, write)
    return this.#writing
  }
}
