/**
 * The threads that carry guests' memory to and from other docks by the page codec. Promises that what a
 * visit brought is kept when it is told to, and that whatever happens the guest's kept pages are given
 * back. Relies on KeptMemory for what may be kept and who uses it, and on the codec for everything that is
 * right or wrong about a stream (delta/DELTA.md).
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { KeptPlace, VisitStart, VisitStats } from '../../delta/thread-messages.ts'
import { VisitThread } from '../../delta/visit-thread.ts'
import type { Clock } from '../../platform/clock.ts'
import { freeBytes } from '../../platform/free-space.ts'
import type { Log } from '../../platform/log.ts'
import type { Random } from '../../platform/random.ts'
import { type KeptMemory, reserveBytes } from './kept-memory.ts'

export interface VisitsOptions {
  keptMemory: KeptMemory
  /** Its disk is where pages go; those that are kept as long as a visit takes, too. */
  dataDir: string
  clock: Clock
  random: Random
  log: Log
}

/** Who comes or goes. */
export interface VisitOf {
  guestId: string
  guestName: string
  dockId: string
}

/** One guest on its way through the codec. */
export interface Visit {
  /** Resolves when the socket can be connected to. */
  readonly listening: Promise<void>
  /** Rejects with what broke; resolves when the stream is through. */
  readonly ended: Promise<void>
  readonly stats: VisitStats | null
  /** From here on its memory passes as it is. */
  stepAside(): void
  /** The guest is there: what came with it is kept, in the background. */
  keep(): void
  /** The same at once, for a visit without a move. @returns whether nothing kept it from being kept, when that is over */
  keepNow(): Promise<boolean>
  close(): Promise<void>
}

type Start<Role> = Omit<VisitStart & { role: Role }, 'kept' | 'role' | 'visit' | 'newIdKey'>

interface Place extends KeptPlace {
  /** Whether it stays when the visit is over. */
  stays: boolean
}

/** The guest's first moments at its new dock are its own: to make durable what came takes processor and disk. */
const settledMs = 600
/** A visit that takes longer to be kept is not waited for. */
const keptWithinMs = 4000

export class Visits {
  readonly #options: VisitsOptions
  /** Visits that are not over, by guest. */
  readonly #open = new Map<string, Promise<void>>()

  private constructor(options: VisitsOptions) {
    this.#options = options
  }

  /** Removes what a crash has left of visits. */
  static async open(options: VisitsOptions): Promise<Visits> {
    const visits = new Visits(options)
    await rm(visits.#temporaryDir, { recursive: true, force: true })
    return visits
  }

  /** Whether the disk has room for a guest's pages, and enough is left then for what matters more. */
  async hasRoom(memoryBytes: number): Promise<boolean> {
    const free = await freeBytes(this.#options.dataDir)
    return free !== null && free >= memoryBytes + reserveBytes
  }

  /** Sends a guest: QEMU connects to `listenPath`, and the relay has to listen on `relayPath`. */
  async send(of: VisitOf, start: Start<'sender'>): Promise<Visit> {
    const { random } = this.#options
    const ids = { visit: random.bytes(16), newIdKey: random.bytes(32) }
    return await this.#begin(of, (kept) => ({ role: 'sender', ...start, ...ids, kept }))
  }

  /** Receives a guest: the relay connects to `listenPath`, and QEMU has to listen on `qemuPath`. */
  async receive(of: VisitOf, start: Start<'receiver'>): Promise<Visit> {
    return await this.#begin(of, (kept) => ({ role: 'receiver', ...start, kept }))
  }

  /** Waits for what is being kept. */
  async close(): Promise<void> {
    await Promise.all(this.#open.values())
  }

  get #temporaryDir(): string {
    return join(this.#options.dataDir, 'visits')
  }

  async #begin(of: VisitOf, startOf: (kept: VisitStart['kept']) => VisitStart): Promise<Visit> {
    // Back at once: what is being kept of it is worth waiting for.
    const before = this.#open.get(of.guestId)
    if (before !== undefined) await Promise.race([before, this.#options.clock.sleep(keptWithinMs)])
    const place = await this.#place(of)
    const over = Promise.withResolvers<void>()
    this.#open.set(of.guestId, over.promise)
    let isOver = false
    const thread = new VisitThread(startOf({ folder: place.folder, dockKey: place.dockKey }))
    /** Whatever happens, once. */
    const end = async (work: () => Promise<void>): Promise<boolean> => {
      if (isOver) return false
      isOver = true
      const { guestId, dockId } = of
      this.#options.log.info('memory crossed by pages', { guestId, dockId, ...thread.stats })
      const isDone = await work().then(
        () => true,
        (error: unknown) => {
          this.#options.log.warn('a guest’s memory was not kept', { guestId, error })
          return false
        },
      )
      await this.#letGo(guestId, place)
      if (this.#open.get(of.guestId) === over.promise) this.#open.delete(of.guestId)
      over.resolve()
      return isDone
    }
    // The note goes through the thread as it is, with the guest's name.
    const keepHere = async (): Promise<void> => {
      const atMs = this.#options.clock.nowMs()
      await (place.stays ? thread.keep({ ...of, atMs }) : thread.close())
    }
    return {
      listening: thread.listening,
      ended: thread.ended,
      get stats() {
        return thread.stats
      },
      stepAside: () => thread.stepAside(),
      keep: () => {
        void end(async () => {
          if (place.stays) await this.#options.clock.sleep(settledMs)
          await keepHere()
        })
      },
      keepNow: async () => (await end(keepHere)) && place.stays,
      close: async () => void (await end(() => thread.close())),
    }
  }

  /** Where nothing may be kept, or another visit of the guest is not over, pages live as long as the visit does. */
  async #place({ guestId, guestName }: VisitOf): Promise<Place> {
    const { keptMemory, random } = this.#options
    const place = await keptMemory.take(guestId, guestName)
    if (place !== null) return { ...place, stays: true }
    const folder = join(this.#temporaryDir, `visit-${random.hex(8)}`)
    return { folder, dockKey: random.bytes(32), stays: false }
  }

  async #letGo(guestId: string, { folder, stays }: Place): Promise<void> {
    const { keptMemory, log } = this.#options
    if (stays) return await keptMemory.giveBack(guestId)
    await rm(folder, { recursive: true, force: true }).catch((error: unknown) =>
      log.warn('what a visit needed was not removed', { guestId, error }),
    )
  }
}
