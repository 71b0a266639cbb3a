/**
 * One visit of a guest to a dock without the guest: the layers, boot files and memory that its move will need go there
 * while it runs on here. Promises that it can be ended at any moment, that `freed` resolves soon after, and that from
 * then on it does nothing more to the guest or its QEMU; what has crossed by then is kept on both sides. Relies on the
 * page codec, which recognises at the real move whatever has changed since.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { fail } from '../../../../shared/errors/index.ts'
import { sendLayer } from '../../../disk/layer-transfer.ts'
import { WindowedJoint } from '../../../docks/windowed-joint.ts'
import { Disposer } from '../../../platform/dispose.ts'
import { trickleMemory } from '../../../qemu/capture/trickle.ts'
import type { MigrationProgress } from '../../../qemu/migration.ts'
import type { LocalGuest } from '../../guests/local-guest.ts'
import { residentBytes } from '../../memory.ts'
import type { PeerOutput, WarmHeader } from '../messages.ts'
import { makeOffer, unchangingFiles } from '../offer.ts'
import type { DockingParts } from '../parts.ts'
import { relayFromQemu } from '../relay.ts'
import { memoryWindow, plainBytesPerS, reasonMs } from '../tuning.ts'
import type { Visit, Visits } from '../visits.ts'
import { WarmPace } from './pace.ts'
import { pacedStream } from './paced-stream.ts'

export interface WarmVisitOptions {
  parts: Pick<DockingParts, 'calls' | 'layers' | 'bootFiles' | 'rates' | 'clock' | 'random' | 'log'>
  visits: Visits
  guest: LocalGuest
  to: { dockId: string; name: string }
  /** Other work is under way on this PC. */
  isBusy: () => boolean
  /** @param percent of what is to be there */
  onProgress: (percent: number) => void
}

/** What a guest's memory and files come to. */
interface Sizes {
  fileBytes: number
  touchedBytes: number
}

const lookEveryMs = 500
/** An end that does not come in order within this time is not waited for: then nothing of the visit is kept. */
const endWithinMs = 1500
/** Of memory, of a first visit that was ended. */
const worthKeeping = 0.4

export class WarmVisit {
  readonly #options: WarmVisitOptions
  readonly #stop = new AbortController()
  readonly #freed = Promise.withResolvers<void>()
  readonly #id: string
  #pace = new WarmPace(null)
  #sentFileBytes = 0
  #memoryShare = 0
  /** From here on its QEMU has to be given back first. */
  #hasQemu = false

  constructor(options: WarmVisitOptions) {
    this.#options = options
    this.#id = options.parts.random.uuid()
  }

  get guestId(): string {
    return this.#options.guest.id
  }

  get toDockId(): string {
    return this.#options.to.dockId
  }

  /** Resolves when the guest and its QEMU are free of it. */
  get freed(): Promise<void> {
    return this.#freed.promise
  }

  /** Ends it: what has crossed is kept. */
  stop(): void {
    this.#stop.abort(fail('host.cancelled'))
    if (!this.#hasQemu) this.#freed.resolve()
  }

  /**
   * @returns whether the other dock has all of it; false when it was ended before
   * @throws what the other dock refuses it for, what broke
   */
  async run(): Promise<boolean> {
    try {
      return await this.#run()
    } catch (error) {
      if (this.#stop.signal.aborted) return false
      throw error
    } finally {
      this.#freed.resolve()
    }
  }

  async #run(): Promise<boolean> {
    const { parts, guest, to } = this.#options
    const { calls, layers, bootFiles, rates } = parts
    const { signal } = this.#stop
    const process = guest.requireProcess('made ready')
    const { memoryBytes } = guest.definition
    const offer = await makeOffer(guest, layers, bootFiles)
    const touchedBytes = Math.min(memoryBytes, await residentBytes(process.identity.pid))
    const asked = {
      warmId: this.#id,
      ...{ guestId: guest.id, guestName: guest.name, memoryBytes, touchedBytes },
      ...{ layers: offer.layers, bootFiles: offer.bootFiles },
    }
    const missing = await calls.ask(to.dockId, 'warm.prepare', asked, { signal })
    this.#pace = new WarmPace((await rates.confirm(to.dockId, plainBytesPerS)).bytesPerS)
    const files = filesIn(missing, asked)
    const fileBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    for (const file of files) await this.#sendFile(file, { fileBytes, touchedBytes })
    signal.throwIfAborted()
    await calls.ask(to.dockId, 'warm.memory', { warmId: this.#id }, { signal })
    return await this.#sendMemory({ fileBytes, touchedBytes })
  }

  async #sendFile({ kind, id, sizeBytes }: MissingFile, sizes: Sizes): Promise<void> {
    const { parts, isBusy } = this.#options
    const { signal } = this.#stop
    const channel = await this.#openStream('layer', { kind, warmId: this.#id, id } as WarmHeader)
    const stream = pacedStream(channel, () => this.#pace.budget(isBusy()), parts.clock)
    stream.on('error', () => undefined)
    const before = this.#sentFileBytes
    const told = (doneBytes: number): void => {
      this.#sentFileBytes = before + doneBytes
      this.#tell(sizes, 0)
    }
    try {
      if (kind === 'warm-layer')
        await sendLayer(stream, parts.layers, id, { signal, onProgress: ({ doneBytes }) => told(doneBytes) })
      else await parts.bootFiles.send(id, stream, signal)
      told(sizeBytes)
    } finally {
      stream.destroy()
    }
  }

  async #sendMemory(sizes: Sizes): Promise<boolean> {
    const { parts, visits, guest, to } = this.#options
    const cleanup = new Disposer()
    const listenPath = join(guest.runDir, 'warm.sock')
    const relayPath = join(guest.runDir, 'warm-out.sock')
    try {
      const channel = await this.#openStream('memory', { kind: 'warm-memory', warmId: this.#id })
      const joint = new WindowedJoint(channel, { window: memoryWindow, dock: to.name })
      joint.ended.catch(() => undefined)
      const relay = await relayFromQemu(relayPath, joint)
      cleanup.add('close the channel', () => relay.close())
      await rm(listenPath, { force: true })
      const { bytesPerS: linkBytesPerS } = await parts.rates.measure(to.dockId)
      const files = unchangingFiles(guest.definition, parts.layers, parts.bootFiles)
      const of = { guestId: guest.id, guestName: guest.name, dockId: to.dockId }
      const visit = await visits.send(of, { listenPath, relayPath, linkBytesPerS, files, mayStop: true })
      cleanup.add('end the codec', () => visit.close())
      await visit.listening
      this.#stop.signal.throwIfAborted()
      this.#hasQemu = true
      const isThrough = await this.#trickle(listenPath, joint, sizes).catch(async (error: unknown) => {
        throw await this.#reason(visit, error)
      })
      if (isThrough) this.#memoryShare = 1
      // The guest may be moved from here on; what has crossed is kept beside that.
      this.#freed.resolve()
      return await this.#keep(visit, isThrough)
    } finally {
      await cleanup.run()
    }
  }

  async #trickle(socketPath: string, joint: WindowedJoint, sizes: Sizes): Promise<boolean> {
    const { parts, guest, isBusy } = this.#options
    const { qmp } = guest.requireProcess('made ready')
    return await trickleMemory(qmp, {
      socketPath,
      firstPace: this.#pace.bytesPerS,
      look: ({ atMs, progress, slowdown }) => {
        this.#memoryShare = memoryShare(progress, sizes.touchedBytes)
        this.#tell(sizes, this.#memoryShare)
        const { ackedBytes: linkBytes, rttMs } = joint.stats()
        return this.#pace.see({ atMs, linkBytes, rttMs, slowdown, isBusy: isBusy() })
      },
      lookEveryMs,
      signal: this.#stop.signal,
      log: parts.log,
    })
  }

  /**
   * The other side keeps what has crossed by itself. Of a first visit that was ended early this side keeps nothing, so that
   * the next one is a first one again: that looks for pages in the files that both docks have, which saves more.
   * @returns whether the other dock is ready
   */
  async #keep(visit: Visit, isThrough: boolean): Promise<boolean> {
    const late = new AbortController()
    const tooLate = this.#options.parts.clock.sleep(endWithinMs, late.signal)
    const hasEnded = await Promise.race([
      visit.ended.then(() => true),
      tooLate.then(
        () => false,
        () => false,
      ),
    ]).finally(() => late.abort())
    const { stats } = visit
    const isReturn = stats?.role === 'sender' && stats.base === 1
    if (!hasEnded || !(isReturn || this.#memoryShare > worthKeeping)) return false
    return (await visit.keepNow()) && isThrough
  }

  /** Where the codec broke, QEMU sees a closed socket and no more. */
  async #reason(visit: Visit, thrown: unknown): Promise<unknown> {
    const { clock } = this.#options.parts
    return await Promise.race([
      visit.ended.then(
        () => thrown,
        (error: unknown) => error,
      ),
      clock.sleep(reasonMs).then(() => thrown),
    ])
  }

  #tell({ fileBytes, touchedBytes }: Sizes, memoryShare: number): void {
    const allBytes = Math.max(1, fileBytes + touchedBytes)
    const doneBytes = this.#sentFileBytes + touchedBytes * memoryShare
    this.#options.onProgress(Math.min(99, Math.floor((doneBytes * 100) / allBytes)))
  }

  async #openStream(use: 'layer' | 'memory', header: WarmHeader): Promise<Duplex> {
    const { parts, to } = this.#options
    return await parts.calls.net.openStream(to.dockId, use, header, { signal: this.#stop.signal })
  }
}

interface MissingFile {
  kind: 'warm-layer' | 'warm-boot-file'
  id: string
  sizeBytes: number
}

function filesIn(
  missing: PeerOutput<'warm.prepare'>,
  offer: {
    layers: readonly { id: string; sizeBytes: number }[]
    bootFiles: readonly { id: string; sizeBytes: number }[]
  },
): MissingFile[] {
  const { missingLayers, missingBootFiles } = missing
  const lacked: readonly string[] = [...missingLayers, ...missingBootFiles]
  const pick = (kind: MissingFile['kind'], needs: typeof offer.layers): MissingFile[] =>
    needs.filter(({ id }) => lacked.includes(id)).map(({ id, sizeBytes }) => ({ kind, id, sizeBytes }))
  return [...pick('warm-boot-file', offer.bootFiles), ...pick('warm-layer', offer.layers)]
}

/** Pages of zeros cost QEMU nothing, and most guests have a lot of them: what it has sent says more than how far it is. */
function memoryShare(progress: MigrationProgress, touchedBytes: number): number {
  const { ramTransferredBytes: sent, ramRemainingBytes: remaining } = progress
  const left = Math.min(remaining, Math.max(0, touchedBytes - sent))
  return sent === 0 ? 0 : sent / (sent + left)
}
