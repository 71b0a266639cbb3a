/**
 * When checkpoints of a guest are made by themselves, and which are kept: one file for all guests, by id, so that rules
 * are still there when a guest comes back from another dock or from the trash.
 */
import { join } from 'node:path'
import { z } from 'zod'
import {
  type CheckpointRules,
  checkpointRules,
  defaultCheckpointRules,
} from '../../../shared/models/checkpoint.ts'
import type { HostState } from '../../../shared/models/host-state.ts'
import { readJson, writeJsonAtomic } from '../../platform/atomic-file.ts'
import type { Log } from '../../platform/log.ts'

const rulesFile = z.strictObject({ version: z.literal(1), guests: z.record(z.uuid(), checkpointRules) })

export class RuleBook {
  readonly #path: string
  readonly #rules: Map<string, CheckpointRules>
  #writing: Promise<unknown> = Promise.resolve()

  private constructor(path: string, rules: Map<string, CheckpointRules>) {
    this.#path = path
    this.#rules = rules
  }

  /** A file that cannot be read is left as it is, and the defaults hold until a rule is changed. */
  static async open(dataDir: string, log: Log): Promise<RuleBook> {
    const path = join(dataDir, 'checkpoint-rules.json')
    const stored = await readJson(path, rulesFile).catch((error: unknown) => {
      log.error('the rules for checkpoints cannot be read', { error })
      return null
    })
    return new RuleBook(path, new Map(Object.entries(stored?.guests ?? {})))
  }

  /** Those that differ from the defaults, as the state shows them. */
  get changed(): HostState['checkpointRules'] {
    return [...this.#rules].map(([guestId, rules]) => ({ guestId, rules }))
  }

  of(guestId: string): CheckpointRules {
    return this.#rules.get(guestId) ?? defaultCheckpointRules
  }

  /** @throws host.disk_full, host.no_permission; then the old ones hold */
  async change(guestId: string, rules: CheckpointRules): Promise<void> {
    const work = async (): Promise<void> => {
      const guests = { ...Object.fromEntries(this.#rules), [guestId]: rules }
      await writeJsonAtomic(this.#path, { version: 1, guests })
      this.#rules.set(guestId, rules)
    }
    const written = this.#writing.then(work)
    this.#writing = written.catch(() => {})
    await written
  }
}
