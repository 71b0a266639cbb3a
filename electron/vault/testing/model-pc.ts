/**
 * A PC of the model: it takes checkpoints of its guest, deletes some, sweeps, gives up, and loses its power. Everything it does is the program's own code; only disk, network and clock are the model's.
 */
import { WdockError } from '../../../shared/errors/index.ts'
import { sealFrame } from '../../pages/frame.ts'
import type { KnownPages } from '../../pages/known-pages.ts'
import { PageHasher, pageBytes, pageIdBytes } from '../../pages/page-id.ts'
import { silentLog } from '../../platform/log.ts'
import type { ManifestRegion } from '../codec/manifest.ts'
import { buildTables, RegionPages } from '../manifest-builder.ts'
import type { OpenVault } from '../open-vault.ts'
import { removeCheckpoint } from '../remove-checkpoint.ts'
import { sweep } from '../sweep.ts'
import { Upload } from '../upload.ts'
import { VaultObjects } from '../vault-objects.ts'
import { MemorySpool } from './memory-spool.ts'
import { ModelStore, type ModelWorld, PcClock } from './model-world.ts'
import { plainSealer } from './plain-sealer.ts'
import { testSummary } from './summaries.ts'
import { noHash, testDockId, testHead } from './tables.ts'

const framePages = 2
const packFrames = 2
const guestPages = 6
/** All guests of the model have pages of so many kinds: they share many. */
const contents = 12

export const modelKeys = {
  pageIdKey: Buffer.alloc(32, 1),
  frameKeyOf: (packId: Buffer, ordinal: number) => Buffer.concat([packId, Buffer.alloc(16, ordinal)]),
}

/** Counted over all runs, to see that the model reaches what it is for. */
export interface ModelCounts {
  published: number
  fenced: number
  lost: number
  cancelled: number
  freed: number
  crashes: number
}

export class ModelPc {
  readonly name: string
  readonly #world: ModelWorld
  readonly #counts: ModelCounts
  clock: PcClock
  vault: OpenVault
  /** Survives a loss of power. */
  spools: MemorySpool[] = []
  readonly #pages: number[]
  /** What it does now; a PC may upload and sweep at once. */
  readonly busy = new Set<'upload' | 'sweep' | 'remove'>()
  #uploads = new Set<Upload>()
  #boot = 0

  constructor(world: ModelWorld, name: string, counts: ModelCounts) {
    this.#world = world
    this.#counts = counts
    this.name = name
    this.clock = new PcClock(world, name)
    this.vault = this.#open()
    this.#pages = Array.from({ length: guestPages }, () => world.random.int(contents))
  }

  startUpload(): void {
    for (let change = 0; change < 2; change += 1) {
      this.#pages[this.#world.random.int(guestPages)] = this.#world.random.int(contents)
    }
    const pages = [...this.#pages]
    this.#work('upload', async (boot) => {
      const spool = new MemorySpool()
      this.spools.push(spool)
      const intent = { byDockId: testDockId, byDockName: this.name, guestId: testGuestId }
      const { upload, known } = await Upload.begin({ vault: this.vault, spool, frames: null, intent })
      if (boot !== this.#boot) return
      this.#uploads.add(upload)
      this.#world.tell(`${this.name} begins ${short(upload.id)}, knows ${known.table.size} pages`)
      await capture(this.vault, upload, known, pages)
      await this.#follow(upload, boot)
    })
  }

  startSweep(): void {
    this.#work('sweep', async (boot) => {
      this.#world.tell(`${this.name} sweeps`)
      const { freedPacks } = await sweep(this.vault)
      if (boot === this.#boot) this.#counts.freed += freedPacks
      this.#world.tell(`${this.name} has swept ${freedPacks} packs`)
    })
  }

  startRemoval(id: string): void {
    this.#work('remove', async () => {
      this.#world.tell(`${this.name} deletes ${short(id)}`)
      await removeCheckpoint(this.vault, id)
    })
  }

  cancelUpload(): void {
    const upload = this.#world.random.pick([...this.#uploads])
    if (upload === undefined) return
    this.#uploads.delete(upload)
    this.#world.tell(`${this.name} gives ${short(upload.id)} up`)
    this.#counts.cancelled += 1
    void upload.cancel()
  }

  /** Power is lost; the PC starts again at once and goes on with what is in its spools. */
  async crash(): Promise<void> {
    this.#world.tell(`${this.name} loses power`)
    this.#counts.crashes += 1
    this.#world.strike(this.clock)
    this.#boot += 1
    this.#uploads.clear()
    this.busy.clear()
    await this.#world.calm()
    this.clock = new PcClock(this.#world, this.name)
    this.vault = this.#open()
    this.spools = this.spools.filter((spool) => !spool.removed)
    for (const spool of this.spools) {
      this.#work('upload', async (boot) => {
        const upload = await Upload.resume({ vault: this.vault, spool, frames: null })
        if (upload === null || boot !== this.#boot) return
        this.#uploads.add(upload)
        this.#world.tell(`${this.name} goes on with ${short(upload.id)}`)
        await this.#follow(upload, boot)
      })
    }
  }

  async #follow(upload: Upload, boot: number): Promise<void> {
    const id = upload.id
    try {
      const { checkpointId } = await upload.published
      this.#world.tell(`${this.name} has published ${short(checkpointId)}`)
      if (boot !== this.#boot) return
      this.#counts.published += 1
      if (checkpointId !== id) this.#counts.fenced += 1
    } finally {
      if (boot === this.#boot) this.#uploads.delete(upload)
    }
  }

  #work(kind: 'upload' | 'sweep' | 'remove', work: (boot: number) => Promise<void>): void {
    const boot = this.#boot
    this.busy.add(kind)
    void work(boot)
      .catch((error: unknown) => {
        const code = error instanceof WdockError ? error.code : 'unexpected'
        this.#world.tell(`${this.name}: ${code}`)
        if (code === 'vault.upload_lost') this.#counts.lost += 1
        else if (code !== 'host.cancelled' && code !== 'vault.checkpoint_missing') {
          this.#world.laws.broken.push(`${this.name} failed: ${error instanceof Error ? error.stack : error}`)
        }
      })
      .finally(() => {
        if (boot === this.#boot) this.busy.delete(kind)
      })
  }

  #open(): OpenVault {
    const store = new ModelStore(this.clock)
    return {
      ...modelKeys,
      vaultId: 'f'.repeat(32),
      store,
      objects: new VaultObjects(store, plainSealer),
      clock: this.clock,
      random: this.#world.random,
      log: silentLog,
    }
  }
}

const testGuestId = '5b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a10'

export function short(id: string): string {
  return id.slice(0, 6)
}

/** What the packer does, in small: known pages are looked up, new ones go to frames of two, packs of two frames. */
async function capture(vault: OpenVault, upload: Upload, known: KnownPages, pages: readonly number[]) {
  const hasher = new PageHasher(vault.pageIdKey)
  const region = new RegionPages(pages.length)
  let fresh: { bytes: Buffer; id: Buffer }[][] = []
  const flush = async (): Promise<void> => {
    if (fresh.length > 0) await writePack(vault, upload, known, fresh)
    fresh = []
  }
  for (const [page, content] of pages.entries()) {
    const bytes = Buffer.alloc(pageBytes, content + 1)
    const id = Buffer.alloc(pageIdBytes)
    hasher.idOf(bytes, 0, id)
    if (known.table.find(id) < 0) {
      let frame = fresh.at(-1)
      if (frame === undefined || frame.length === framePages) {
        if (fresh.length === packFrames) await flush()
        frame = []
        fresh.push(frame)
        known.frames.reserve()
      }
      known.table.add(id, 0, known.frames.size - 1, frame.length)
      frame.push({ bytes, id })
    }
    const entry = known.table.find(id)
    region.set(page, known.table.frameOf(entry), known.table.slotOf(entry))
  }
  await flush()
  const disk: ManifestRegion = {
    kind: 'disk',
    nodeName: 'disk0',
    virtualSizeBytes: pages.length * pageBytes,
    pages: pages.length,
    idsSha256: noHash,
  }
  const head = testHead(upload.id, [disk])
  await upload.complete({ head, ...buildTables(known.frames, [region]) }, testSummary(upload.id))
}

async function writePack(
  vault: OpenVault,
  upload: Upload,
  known: KnownPages,
  frames: readonly { bytes: Buffer; id: Buffer }[][],
): Promise<void> {
  const packId = vault.random.bytes(16)
  const file = await upload.sink.begin(packId)
  const pack = known.frames.addPack(packId)
  const firstFrame = known.frames.size - frames.length
  let offset = 0
  const lengths: number[] = []
  for (const [ordinal, pages] of frames.entries()) {
    // As pages that do not compress: quicker, and it is the order of writes that is looked at here.
    const content = Buffer.concat(pages.map(({ bytes }) => bytes))
    const sealed = sealFrame(vault.frameKeyOf(packId, ordinal), { packId, ordinal }, content)
    await file.write(sealed)
    known.frames.settle(firstFrame + ordinal, {
      ...{ pack, ordinal, offset },
      sealedBytes: sealed.length,
      pages: pages.length,
    })
    lengths.push(sealed.length)
    offset += sealed.length
  }
  await file.finish({
    packId,
    sealedBytes: Uint32Array.from(lengths),
    pages: Uint8Array.from(frames, (pages) => pages.length),
    ids: Buffer.concat(frames.flatMap((pages) => pages.map(({ id }) => id))),
  })
}
