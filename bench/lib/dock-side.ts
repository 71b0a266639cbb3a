/** Our side of a comparison: two paired docks in two namespaces, a guest that moves between them. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type GuestRecord, guestRecord } from '../../electron/host/guests/guest-record.ts'
import { DockProcess, makePairedDocks } from '../../electron/testing/dock-process.ts'
import type { NamespacePair } from '../../electron/testing/namespaces.ts'
import type { HostEvent, HostState } from '../../shared/models/host-state.ts'
import type { Switchover } from '../../shared/models/operation.ts'
import { type Departure, type Marks, measureMove } from './measure.ts'
import { arrived, type Outcome } from './move.ts'

const port = 47_400
const memoryMebibytes = 512
const onlineTimeoutMs = 20_000
const askEveryMs = 250

const isOnline = (state: HostState): boolean => state.docks.some((dock) => dock.presence.kind === 'online')

export class DockSide {
  readonly #pair: NamespacePair
  readonly #docks: readonly [DockProcess, DockProcess]
  #from: DockProcess
  #to: DockProcess
  #guestId = ''

  constructor(pair: NamespacePair, folder: string) {
    this.#pair = pair
    const dock = (key: 'a' | 'b'): DockProcess => {
      const { name: namespace, address: bindAddress } = pair[key]
      const home = join(folder, key)
      return new DockProcess({ home, name: `PC ${key}`, port, namespace, bindAddress, discovery: false })
    }
    this.#docks = [dock('a'), dock('b')]
    ;[this.#from, this.#to] = this.#docks
  }

  /** Boots the guest and lets it visit the other dock once, so that both have its base layer and boot files. */
  async start(): Promise<void> {
    await makePairedDocks(this.#from, this.#to)
    await Promise.all([this.#from.start(), this.#to.start()])
    this.#guestId = await this.#from.startDemoGuest('Demo', memoryMebibytes)
    arrived(await this.move())
  }

  get witnessSocket(): string {
    return join(this.#from.runDir(this.#guestId), 'witness.sock')
  }

  /** Whether the guest is where it was made. */
  get isHome(): boolean {
    return this.#from === this.#docks[0]
  }

  /** The process of each host, by the name of its dock. */
  get hosts(): { name: string; pid: number }[] {
    return this.#docks.map(({ name, ready }) => ({ name, pid: ready.pid }))
  }

  /** What the guest is made of, for a peer that runs the same machine. */
  async record(): Promise<GuestRecord> {
    const path = join(this.#from.guestDir(this.#guestId), 'guest.json')
    return guestRecord.parse(JSON.parse(await readFile(path, 'utf8')))
  }

  layerPath(id: string): string {
    return join(this.#dataDir, 'layers', `${id}.qcow2`)
  }

  bootFilePath(id: string): string {
    return join(this.#dataDir, 'boot', id)
  }

  get #dataDir(): string {
    return this.#from.ready.dataDir
  }

  /** Only one guest of a comparison runs at a time: two cores are few. */
  async pause(): Promise<void> {
    await this.#from.client.guests.pause({ guestId: this.#guestId })
  }

  async resume(): Promise<void> {
    await this.#from.client.guests.resume({ guestId: this.#guestId })
  }

  /** Both docks lose what they keep of the guest's memory. Only while no move is on. */
  async forgetKept(): Promise<void> {
    for (const { ready } of this.#docks) {
      await rm(join(ready.dataDir, 'kept'), { recursive: true, force: true })
    }
  }

  /** Lets the dock that the guest goes to have ready what a dock can have before a first visit; the guest runs on. */
  async prepareWarm(): Promise<void> {
    const dockId = await this.#to.dockId()
    await this.#from.until('the other dock', isOnline, onlineTimeoutMs)
    await this.#from.client.warm.allow({ dockId, allowed: true })
    await this.#from.client.warm.now({ guestId: this.#guestId, dockId })
  }

  /** Moves the guest to the other dock. @param giveUpAfterMs from when memory begins to cross; null for ever */
  async move(giveUpAfterMs: number | null = null, switchover: Switchover = 'pre-copy'): Promise<Outcome> {
    const [from, to, guestId] = [this.#from, this.#to, this.#guestId]
    const request = { guestId, fromDockId: await from.dockId(), toDockId: await to.dockId(), switchover }
    await to.until('the other dock', isOnline, onlineTimeoutMs)
    const route = { fromSocket: this.witnessSocket, toSocket: join(to.runDir(guestId), 'witness.sock') }
    const watching = new AbortController()
    try {
      const facts = await from.client.state.watch(undefined, { signal: watching.signal })
      // The state as it was: from here on every fact arrives.
      await facts.next()
      const move = async (marks: Marks): Promise<Departure> => {
        const watched = untilMemoryCrosses(facts, guestId).then(marks.memoryStarted)
        watched.catch(() => undefined)
        const { operationId } = await to.client.migrations.start(request)
        const end = await endOf(to, operationId, marks.giveUp)
        await watched
        return end
      }
      const outcome = await measureMove(this.#pair, { route, giveUpAfterMs, move })
      if (outcome.kind === 'arrived') await this.#settle(request.fromDockId)
      return outcome
    } finally {
      watching.abort()
    }
  }

  async #settle(fromDockId: string): Promise<void> {
    const isGone = (state: HostState): boolean => state.guests.every((guest) => guest.dockId !== fromDockId)
    await this.#from.until('leaving', isGone)
    ;[this.#from, this.#to] = [this.#to, this.#from]
  }

  async destroy(): Promise<void> {
    await Promise.all(this.#docks.map((dock) => dock.destroy()))
  }
}

/** @throws when the watch ends before */
async function untilMemoryCrosses(facts: AsyncIterable<HostEvent>, guestId: string): Promise<void> {
  for await (const fact of facts) {
    if (fact.type !== 'operation.changed' || fact.operation.guestId !== guestId) continue
    const { work } = fact.operation
    if (work.kind === 'migration' && work.phase === 'copying-memory') return
  }
  throw new Error('the dock stopped telling what it does')
}

/** Asks seldom: what asks takes processor time from what is measured. @throws when the move failed */
async function endOf(dock: DockProcess, operationId: string, giveUp: AbortSignal): Promise<Departure> {
  let isAsked = false
  for (;;) {
    const { operations } = await dock.state()
    const state = operations.find((each) => each.id === operationId)?.state
    if (state?.kind === 'done') return 'left'
    if (state?.kind === 'cancelled' && isAsked) return 'stayed'
    if (state?.kind === 'failed' || state?.kind === 'cancelled') {
      throw new Error(`the move ended: ${JSON.stringify(state)}`)
    }
    if (giveUp.aborted && !isAsked) {
      isAsked = true
      // Too late: then it arrives, and the next look says so.
      await dock.client.operations.cancel({ operationId }).catch(() => undefined)
    }
    await wait(askEveryMs)
  }
}
