/** Our side of the comparison: two paired docks in two namespaces, a guest that moves between them. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type GuestRecord, guestRecord } from '../../electron/host/guests/guest-record.ts'
import { DockProcess, makePairedDocks } from '../../electron/testing/dock-process.ts'
import type { NamespacePair } from '../../electron/testing/namespaces.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import { measureMove } from './measure.ts'
import type { Move } from './plan.ts'

const port = 47_400
const memoryMebibytes = 512
const onlineTimeoutMs = 20_000
const askEveryMs = 250

export class DockSide {
  readonly #pair: NamespacePair
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
    this.#from = dock('a')
    this.#to = dock('b')
  }

  /** Boots the guest and lets it visit the other dock once, so that both have its base layer and boot files. */
  async start(): Promise<void> {
    await makePairedDocks(this.#from, this.#to)
    await Promise.all([this.#from.start(), this.#to.start()])
    this.#guestId = await this.#from.startDemoGuest('Demo', memoryMebibytes)
    await this.move()
  }

  get witnessSocket(): string {
    return join(this.#from.runDir(this.#guestId), 'witness.sock')
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
    return join(this.#from.options.home, 'data')
  }

  /** Only one guest of the comparison runs at a time: two cores are few. */
  async pause(): Promise<void> {
    await this.#from.client.guests.pause({ guestId: this.#guestId })
  }

  async resume(): Promise<void> {
    await this.#from.client.guests.resume({ guestId: this.#guestId })
  }

  async move(): Promise<Move> {
    const [from, to, guestId] = [this.#from, this.#to, this.#guestId]
    const request = { guestId, fromDockId: await from.dockId(), toDockId: await to.dockId() }
    const online = (state: HostState): boolean => state.docks.some((dock) => dock.presence.kind === 'online')
    await to.until('the other dock', online, onlineTimeoutMs)
    const route = { fromSocket: this.witnessSocket, toSocket: join(to.runDir(guestId), 'witness.sock') }
    const moved = await measureMove(this.#pair, route, async () => {
      const { operationId } = await to.client.migrations.start(request)
      await endOf(to, operationId)
    })
    await from.until('leaving', (state) => state.guests.every((guest) => guest.dockId !== request.fromDockId))
    ;[this.#from, this.#to] = [to, from]
    return moved
  }

  async destroy(): Promise<void> {
    await Promise.all([this.#from.destroy(), this.#to.destroy()])
  }
}

/** Asks seldom: what asks takes processor time from what is measured. @throws when the move failed */
async function endOf(dock: DockProcess, operationId: string): Promise<void> {
  for (;;) {
    const { operations } = await dock.state()
    const state = operations.find((each) => each.id === operationId)?.state
    if (state?.kind === 'done') return
    if (state?.kind === 'failed' || state?.kind === 'cancelled') {
      throw new Error(`the move ended: ${JSON.stringify(state)}`)
    }
    await wait(askEveryMs)
  }
}
