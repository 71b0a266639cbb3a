/**
 * The side of a dock that is kept ready for guests of others: says whether it can be, takes layers, boot files and memory
 * that come in advance, and lets go of them. Promises that one dock has one such visit under way at most, that nothing
 * comes in that was not announced, and that what was brought goes when its reason does: the other dock keeps the guest
 * ready no more, is paired no more, or a person forgets the guest here. Relies on Visits for memory and on the
 * person's limit for kept memory as the consent of this dock.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { fail, isCode, toWdockError } from '../../../../shared/errors/index.ts'
import { formatBytes, formatMemory } from '../../../../shared/format.ts'
import type { LayerId } from '../../../../shared/models/guest-definition.ts'
import { receiveLayer } from '../../../disk/layer-transfer.ts'
import type { LayerStore } from '../../../disk/layers.ts'
import type { From } from '../../../docks/dock-net.ts'
import { WindowedJoint } from '../../../docks/windowed-joint.ts'
import type { Log } from '../../../platform/log.ts'
import type { BootFileStore } from '../../guests/boot-files.ts'
import type { Guests } from '../../guests/guests.ts'
import type { PeerCalls } from '../../peer-calls.ts'
import { assertOffered, lacking } from '../arrival-steps.ts'
import type { KeptMemory } from '../kept-memory.ts'
import { type PeerOutput, type WarmHeader, type WarmOffer, warmForgottenEvent } from '../messages.ts'
import { relayToQemu } from '../relay.ts'
import { memoryWindow } from '../tuning.ts'
import type { Visit, Visits } from '../visits.ts'
import type { Economy } from './economy.ts'
import type { Brought, WarmFiles } from './warm-files.ts'

export interface WarmArrivalsOptions {
  calls: PeerCalls
  guests: Guests
  layers: LayerStore
  bootFiles: BootFileStore
  files: WarmFiles
  keptMemory: KeptMemory
  visits: Visits
  /** In bytes; 0 for nothing. */
  keepsAtMost: () => number
  economy: Economy
  /** For sockets. */
  runtimeDir: string
  log: Log
}

/** One visit that comes without its guest. */
interface Coming {
  from: From
  offer: WarmOffer
  /** Ends it. */
  stop: AbortController
  /** Where the relay of its memory connects; null before that may come. */
  socketPath: string | null
  /** What takes its memory; null before that may come. */
  visit: Visit | null
}

export class WarmArrivals {
  readonly #options: WarmArrivalsOptions
  /** By the dock from which it comes. */
  readonly #coming = new Map<string, Coming>()

  constructor(options: WarmArrivalsOptions) {
    this.#options = options
    const { calls } = options
    calls.serve('warm.prepare', (from, offer) => this.#prepare(from, offer))
    calls.serve('warm.memory', async (from, { warmId }) => {
      await this.#expectMemory(this.#of(from, warmId))
      return {}
    })
    calls.serve('warm.hold', async (from, { guestIds }) => {
      await this.#forget((each) => each.fromDockId === from.dockId && !guestIds.includes(each.guestId))
      return {}
    })
    calls.net.onOffline((dockId) => void this.#end(dockId))
  }

  /** Accepts a channel that brings a part of a guest. @returns what takes the bytes @throws migration.not_found */
  async accept(from: From, header: WarmHeader): Promise<(stream: Duplex) => void> {
    const coming = this.#of(from, header.warmId)
    const { signal } = coming.stop
    const { layers, bootFiles } = this.#options
    switch (header.kind) {
      case 'warm-layer': {
        const need = announced(coming.offer.layers, header.id)
        return (stream) => this.#take(stream, receiveLayer(stream, layers, header.id, need, { signal }))
      }
      case 'warm-boot-file': {
        const need = announced(coming.offer.bootFiles, header.id)
        return (stream) => this.#take(stream, bootFiles.receive(stream, need, signal))
      }
      case 'warm-memory':
        return (stream) => this.#join(coming, stream)
    }
  }

  /** A person wants nothing of this guest here, or of any. */
  async forget(guestId: string | null): Promise<void> {
    for (const { from, offer } of [...this.#coming.values()]) {
      if (guestId === null || offer.guestId === guestId) await this.#end(from.dockId)
    }
    const gone = await this.#options.files.forget((each) => guestId === null || each.guestId === guestId)
    for (const each of gone) this.#tellForgotten(each)
  }

  /** The pairing is over. */
  async unpaired(dockId: string): Promise<void> {
    await this.#end(dockId)
    await this.#forget((each) => each.fromDockId === dockId)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#coming.keys()].map((dockId) => this.#end(dockId)))
  }

  async #prepare(from: From, offer: WarmOffer): Promise<PeerOutput<'warm.prepare'>> {
    const { layers, bootFiles, files } = this.#options
    await this.#end(from.dockId)
    const missingLayers = await lacking(offer.layers, (id) => layers.has(id as LayerId))
    const missingBootFiles = await lacking(offer.bootFiles, async (id) => (await bootFiles.size(id)) !== null)
    const missing = { missingLayers, missingBootFiles }
    await this.#assertWelcome(offer, missing)
    const { guestId } = offer
    // Also where it brings no file: its memory goes by this entry.
    await files.expect({
      guestId,
      fromDockId: from.dockId,
      layers: missingLayers as LayerId[],
      bootFiles: missingBootFiles,
    })
    this.#coming.set(from.dockId, { from, offer, stop: new AbortController(), socketPath: null, visit: null })
    return missing
  }

  /** @throws why this dock does not keep it ready, or not now */
  async #assertWelcome(offer: WarmOffer, missing: PeerOutput<'warm.prepare'>): Promise<void> {
    const { guests, visits, keepsAtMost, economy, calls } = this.#options
    const names = { name: offer.guestName, dock: calls.net.name }
    const limitBytes = keepsAtMost()
    if (guests.find(offer.guestId) !== null) throw fail('warm.guest_here', names)
    if (limitBytes === 0) throw fail('warm.keeps_nothing', names)
    if (limitBytes < offer.touchedBytes) {
      const sizes = { limit: formatMemory(limitBytes), needed: formatMemory(offer.touchedBytes) }
      throw fail('warm.limit_small', { ...names, ...sizes })
    }
    const all = [...offer.layers, ...offer.bootFiles]
    const lacked: readonly string[] = [...missing.missingLayers, ...missing.missingBootFiles]
    const fileBytes = all
      .filter(({ id }) => lacked.includes(id))
      .reduce((sum, each) => sum + each.sizeBytes, 0)
    const neededBytes = offer.memoryBytes + fileBytes
    if (!(await visits.hasRoom(neededBytes)))
      throw fail('warm.no_room', { ...names, needed: formatBytes(neededBytes) })
    const reason = await economy.reason(names.dock)
    if (reason !== null) throw reason
  }

  #of(from: From, warmId: string): Coming {
    const coming = this.#coming.get(from.dockId)
    if (coming === undefined || coming.offer.warmId !== warmId) throw fail('migration.not_found')
    return coming
  }

  /** Puts the page codec where the memory comes, with no QEMU behind it. */
  async #expectMemory(coming: Coming): Promise<void> {
    const { visits, runtimeDir, layers, bootFiles } = this.#options
    const { from, offer, stop } = coming
    if (coming.socketPath !== null) throw fail('migration.not_found')
    const folder = join(runtimeDir, 'warm')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const socketPath = join(folder, `${offer.warmId.slice(0, 8)}.sock`)
    coming.socketPath = socketPath
    const files = [
      ...offer.bootFiles.map(({ id }) => ({ id, path: bootFiles.path(id) })),
      ...offer.layers.map(({ id }) => ({ id, path: layers.path(id) })),
    ]
    const of = { guestId: offer.guestId, guestName: offer.guestName, dockId: from.dockId }
    const visit = await visits.receive(of, { listenPath: socketPath, qemuPath: null, files })
    coming.visit = visit
    // Nothing of one that was ended while it was got ready.
    if (stop.signal.aborted) await visit.close()
    visit.ended
      .then(
        () => visit.keepNow(),
        async (error: unknown) => {
          this.#options.log.info('memory did not come in advance', { guestId: offer.guestId, error })
          await visit.close()
        },
      )
      .finally(() => rm(socketPath, { force: true }).catch(() => undefined))
    await visit.listening
  }

  #join(coming: Coming, stream: Duplex): void {
    const { stop, socketPath } = coming
    const joint = new WindowedJoint(stream, { window: memoryWindow })
    joint.ended.catch(() => undefined)
    if (socketPath === null) {
      joint.destroy()
      return
    }
    relayToQemu(socketPath, joint).then(
      (relay) => {
        const close = (): void => void relay.close()
        stop.signal.addEventListener('abort', close, { once: true })
        if (stop.signal.aborted) close()
      },
      () => joint.destroy(),
    )
  }

  #take(stream: Duplex, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!isCode(error, 'host.cancelled'))
        this.#options.log.info('a file did not come in advance', { error: toWdockError(error).toJSON() })
      stream.destroy()
    })
  }

  /** What arrives for it from here on is refused; what is whole stays. */
  async #end(dockId: string): Promise<void> {
    const coming = this.#coming.get(dockId)
    this.#coming.delete(dockId)
    coming?.stop.abort(fail('host.cancelled'))
    await coming?.visit?.close()
  }

  /** Of guests that stand here only the entry goes: what came with them is needed, and their next move needs the rest. */
  async #forget(isGone: (each: Brought) => boolean): Promise<void> {
    const { files, guests, keptMemory, log } = this.#options
    for (const { from, offer } of [...this.#coming.values()]) {
      const each = { guestId: offer.guestId, fromDockId: from.dockId, layers: [], bootFiles: [] }
      if (isGone(each)) await this.#end(from.dockId)
    }
    for (const { guestId, fromDockId } of await files.forget(isGone)) {
      if (guests.find(guestId) !== null) continue
      await keptMemory
        .forgetOf(guestId, fromDockId)
        .catch((error: unknown) => log.warn('memory that was brought in advance stays', { guestId, error }))
    }
  }

  #tellForgotten({ guestId, fromDockId }: Brought): void {
    const data = warmForgottenEvent.parse({ guestId })
    this.#options.calls.net.emit(fromDockId, 'warm.forgotten', data)
  }
}

/** @throws dock.bad_message for what was not announced */
function announced<Need extends { id: string }>(needs: readonly Need[], id: string): Need {
  assertOffered(needs, id)
  const need = needs.find((each) => each.id === id)
  if (need === undefined) throw fail('dock.bad_message')
  return need
}
