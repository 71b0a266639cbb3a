/** The migrations of this dock, newest first, in one bounded file. Feeds the state. */

import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { withRecord } from '../../../shared/models/host-state.ts'
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

  find(id: string): MigrationRecord | null {
    return this.#records.find((known) => known.id === id) ?? null
  }

  /** Adds a record, or puts it in the place of what was known of the same migration. */
  put(record: MigrationRecord): Promise<void> {
    if (isDeepStrictEqual(this.find(record.id), record)) return this.#writing
    this.#records = withRecord(this.#records, record)
    this.#store?.apply({ type: 'migration.recorded', record })
    const write = (): Promise<void> => writeJsonAtomic(this.#path, { version: 1, migrations: this.#records })
    this.#writing = this.#writing.then(write, write)
    return this.#writing
  }
}
