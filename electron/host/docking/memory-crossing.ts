/**
 * How a guest's memory crosses to another dock: by the page codec where the link is slow, or as QEMU sends it. Promises
 * that this is chosen by what the link was seen to carry, unless a person has said; that QEMU's idea of when to stop the
 * guest follows what really crosses; and that what came with a guest is kept only once it has been given away. Relies on
 * the move to start and to end QEMU's migration, and on the operation's undo stack when it fails.
 */
import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { isCode } from '../../../shared/errors/index.ts'
import type { MemoryTransfer } from '../../../shared/models/migration.ts'
import type { VisitStats } from '../../delta/thread-messages.ts'
import { WindowedJoint } from '../../docks/windowed-joint.ts'
import { type MigrationParameters, queryMigration, setParameters } from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import type { QmpSession } from '../../qemu/qmp/session.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { RunningOperation } from '../operations.ts'
import { CodecBrake } from './codec-brake.ts'
import { Crossing } from './convergence.ts'
import type { DepartureMeter } from './departure-meter.ts'
import { BestRate } from './link-rates.ts'
import { unchangingFiles } from './offer.ts'
import type { DockingParts } from './parts.ts'
import { relayFromQemu } from './relay.ts'
import {
  codecBytesPerS,
  downtimeLimitMs,
  laterDowntimeLimitMs,
  memoryWindow,
  pagesThrottle,
  plainBytesPerS,
  plainThrottle,
  pollEveryMs,
  pollPagesEveryMs,
  postCopyWindow,
} from './tuning.ts'
import type { Visit, Visits } from './visits.ts'

export interface MemoryCrossingOptions {
  parts: Pick<DockingParts, 'visits' | 'rates' | 'layers' | 'bootFiles'>
  guest: LocalGuest
  to: { dockId: string; name: string }
  operation: RunningOperation
  transfer: MemoryTransfer
  /** QEMU is not to hear of a broken link by itself: it could not go back from a post-copy then. */
  keepsQemu: boolean
  meter: DepartureMeter
  /** The codec broke: the move cannot go on. */
  onFailure: (error: unknown) => void
}

/** Between the codec and the relay. */
const relayPath = ({ sockets }: QemuProcess): string => `${sockets.outgoing}.relay`

/** How much faster the link must be than the codec: what has crossed by it is not kept when it steps aside. */
const worthAside = 1.5

/** Shorter stretches say more about buffers than about the link. */
const rateStretchMs = 120

interface Pages {
  visit: Visit
  crossing: Crossing
  brake: CodecBrake
  /** As QEMU has it. */
  limitMs: number
  /** Asking takes some of the link: once. */
  hasAskedLink: boolean
  isOver: boolean
}

export class MemoryCrossing {
  readonly #options: MemoryCrossingOptions
  readonly #bestRate = new BestRate(rateStretchMs)
  /** The page codec, and what it makes of QEMU's downtime limit; null where memory crosses as QEMU sends it. */
  #pages: Pages | null = null
  #joint: WindowedJoint | null = null

  constructor(options: MemoryCrossingOptions) {
    this.#options = options
  }

  get usesPages(): boolean {
    return this.#pages !== null
  }

  /** How often to call `look`. */
  get lookEveryMs(): number {
    return this.usesPages ? pollPagesEveryMs : pollEveryMs
  }

  /** Chooses, and gets the codec ready while the other side starts its QEMU. */
  async choose(process: QemuProcess): Promise<void> {
    const { parts, transfer, meter, to } = this.#options
    const visits = transfer === 'plain' ? null : await this.#visitsWithRoom()
    if (visits === null) return meter.transfer('plain')
    const { bytesPerS } = await parts.rates.confirm(to.dockId, plainBytesPerS)
    const isFast = (bytesPerS ?? 0) >= plainBytesPerS
    if (isFast && transfer === 'auto') return meter.transfer('plain')
    await this.#startCodec(visits, process, bytesPerS)
    meter.transfer('pages')
  }

  async #visitsWithRoom(): Promise<Visits | null> {
    const { parts, guest } = this.#options
    const hasRoom = await parts.visits?.hasRoom(guest.definition.memoryBytes)
    return hasRoom ? parts.visits : null
  }

  /** The other side has no room for pages: memory crosses as QEMU sends it. */
  async refused(): Promise<void> {
    const pages = this.#pages
    if (pages === null) return
    this.#pages = null
    this.#options.meter.transfer('plain')
    await pages.visit.close()
  }

  /** Everything between QEMU's socket and the channel stands when this resolves. */
  async open(process: QemuProcess, channel: Duplex): Promise<WindowedJoint> {
    const { operation, to, keepsQemu } = this.#options
    const joint = new WindowedJoint(channel, {
      window: keepsQemu ? postCopyWindow : memoryWindow,
      dock: to.name,
      keepsLocal: keepsQemu,
    })
    this.#joint = joint
    const relay = await relayFromQemu(this.usesPages ? relayPath(process) : process.sockets.outgoing, joint)
    operation.undo.add('close the memory channel', () => relay.close())
    await this.#pages?.visit.listening
    return joint
  }

  /** Of QEMU's migration, before it begins. */
  get parameters(): MigrationParameters {
    if (this.#pages === null) return { ...plainThrottle, maxBandwidthBytesPerSecond: 0, downtimeLimitMs }
    return { ...pagesThrottle, maxBandwidthBytesPerSecond: 0, downtimeLimitMs: this.#pages.limitMs }
  }

  /** Looks how far memory is, tells the meter, and sets QEMU's downtime limit anew where that helps. */
  async look(qmp: QmpSession, joint: WindowedJoint): Promise<void> {
    const progress = await queryMigration(qmp)
    const stats = joint.stats()
    this.#options.meter.memoryProgress(progress, stats)
    this.#bestRate.see(stats.ackedBytes, performance.now())
    const codec = this.#pages?.visit.stats ?? null
    if (this.#pages === null || codec?.role !== 'sender') return
    this.#stepAsideWhereSlower(this.#pages, codec)
    const limitMs = this.#pages.crossing.see({
      atMs: performance.now(),
      rounds: progress.dirtySyncCount,
      believedBytesPerS: progress.bandwidthBitsPerSecond / 8,
      transferredBytes: progress.ramTransferredBytes,
      framedBytes: codec.framedBytes,
      sentBytes: codec.sentBytes,
      ackedBytes: stats.ackedBytes,
    })
    if (limitMs === null || limitMs === this.#pages.limitMs) return
    this.#pages.limitMs = limitMs
    await setParameters(qmp, { downtimeLimitMs: limitMs })
  }

  /** The guest has been given away. @param isThere whether the other side has said that it runs there */
  givenAway(isThere: boolean): void {
    const { parts, to } = this.#options
    const { bytesPerS } = this.#bestRate
    if (bytesPerS > 0) parts.rates.learn(to.dockId, bytesPerS, !this.usesPages)
    const pages = this.#pages
    if (pages === null) return
    pages.isOver = true
    if (isThere) pages.visit.keep()
    else void pages.visit.close()
  }

  /** Half of the round trip of the channel, in milliseconds: how late its answers are. */
  get answerMs(): number {
    return (this.#joint?.stats().rttMs ?? 0) / 2
  }

  /** The link may turn out to be faster than it was thought to be. */
  #stepAsideWhereSlower(pages: Pages, codec: VisitStats & { role: 'sender' }): void {
    if (this.#options.transfer !== 'auto' || pages.hasAskedLink) return
    const carriedPages = codec.freshPages + codec.deltaPages
    const crossing = pages.brake.see({ atMs: performance.now(), linkWaitMs: codec.linkWaitMs, carriedPages })
    if (crossing === null) return
    pages.hasAskedLink = true
    void this.#askLinkAgain(pages, crossing)
  }

  /** @param crossingBytesPerS what contents cross at by the codec */
  async #askLinkAgain(pages: Pages, crossingBytesPerS: number): Promise<void> {
    const { parts, to, meter } = this.#options
    const { bytesPerS } = await parts.rates.confirm(to.dockId, 0)
    if (pages.isOver || bytesPerS === null || bytesPerS < crossingBytesPerS * worthAside) return
    pages.visit.stepAside()
    meter.transfer('plain')
  }

  async #startCodec(visits: Visits, process: QemuProcess, linkBytesPerS: number | null): Promise<void> {
    const { parts, guest, to, operation, onFailure } = this.#options
    const files = unchangingFiles(guest.definition, parts.layers, parts.bootFiles)
    const ways = {
      listenPath: process.sockets.outgoing,
      relayPath: relayPath(process),
      linkBytesPerS,
      mayStop: false,
      files,
    }
    const visit = await visits.send({ guestId: guest.id, guestName: guest.name, dockId: to.dockId }, ways)
    visit.ended.catch((error: unknown) => {
      // A socket that was closed fails QEMU's migration as well, and why it was closed is told by itself.
      if (isCode(error, 'delta.bad_message')) onFailure(error)
    })
    const crossing = new Crossing({
      targetMs: downtimeLimitMs,
      laterTargetMs: laterDowntimeLimitMs,
      linkBytesPerS,
    })
    const pages: Pages = {
      visit,
      crossing,
      brake: new CodecBrake(),
      limitMs: crossing.firstLimitMs(codecBytesPerS),
      hasAskedLink: false,
      isOver: false,
    }
    this.#pages = pages
    operation.undo.add('end the codec', async () => {
      pages.isOver = true
      await visit.close()
    })
  }
}
