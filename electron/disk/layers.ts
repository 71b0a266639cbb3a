/**
 * The disk layers of this PC: `<data>/layers/<id>.qcow2`, read-only, each with `<id>.json` that tells its size
 * and hash. The JSON is written last: a layer without one is not there. A layer's own backing name, when it has
 * one, is `<id>.qcow2`, so that the files mean the same on every dock.
 */
import { createHash, type Hash } from 'node:crypto'
import { chmod, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import { type LayerId, layerId } from '../../shared/models/guest-definition.ts'
import { fsFailure, readJson, syncFolder, systemErrorCode, writeJsonAtomic } from '../platform/atomic-file.ts'
import { type Random, systemRandom } from '../platform/random.ts'
import { inspectImage } from './image.ts'

const layerInfo = z.object({
  version: z.literal(1),
  id: layerId,
  /** Of the file. */
  sizeBytes: z.number().int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  virtualSizeBytes: z.number().int().min(0),
  createdAt: z.string(),
})
export type LayerInfo = z.infer<typeof layerInfo>

/** What a receiver must know beforehand. */
export interface ExpectedLayer {
  sizeBytes: number
  sha256: string
}

/** A layer that is arriving. */
export interface PartialLayer {
  path: string
  /** What has arrived in an earlier try. */
  heldBytes: number
}

export function newLayerId(random: Random = systemRandom): LayerId {
  return `l${random.hex(16)}`
}

/** How a top layer in `<data>/guests/<guest>/` names a layer below it. */
export function backingFromGuest(id: LayerId): string {
  return `../../layers/${id}.qcow2`
}

/** How a layer names the one below it. */
export function backingFromLayer(id: LayerId): string {
  return `${id}.qcow2`
}

const hashChunkBytes = 1024 * 1024

export class LayerStore {
  readonly #folder: string
  readonly #busy = new Map<LayerId, Promise<void>>()

  constructor(dataDir: string) {
    this.#folder = join(dataDir, 'layers')
  }

  /** The complete layers. A layer whose file was lost or changed in size is not listed. */
  async list(): Promise<LayerInfo[]> {
    const names = await readdir(this.#folder).catch((error) => {
      if (systemErrorCode(error) === 'ENOENT') return [] as string[]
      throw fsFailure(error, this.#folder)
    })
    const ids = names.flatMap((name) => layerId.safeParse(name.replace(/\.json$/, '')).data ?? [])
    const found = await Promise.all([...new Set(ids)].map((id) => this.find(id)))
    return found.filter((info) => info !== null)
  }

  async has(id: LayerId): Promise<boolean> {
    return (await this.find(id)) !== null
  }

  /** What is known of a layer; null when it is not here, or not whole. */
  async find(id: LayerId): Promise<LayerInfo | null> {
    const info = await readJson(this.#notePath(id), layerInfo)
    if (!info || info.id !== id) return null
    const file = await stat(this.path(id)).catch(() => null)
    return file?.isFile() && file.size === info.sizeBytes ? info : null
  }

  /** @throws disk.layer_missing */
  async info(id: LayerId): Promise<LayerInfo> {
    const info = await this.find(id)
    if (!info) throw fail('disk.layer_missing', { layer: id })
    return info
  }

  /** Where the layer's file is or would be. @throws host.bad_input when it is no layer id */
  path(id: LayerId): string {
    return join(this.#folder, `${checkedId(id)}.qcow2`)
  }

  /**
   * Takes a finished qcow2 over as layer `id`: it is moved here, so it must be on the same file system. When
   * `expected` is given, the hash is taken from there (the caller has just verified it), else computed.
   * @throws disk.not_an_image, disk.backed_outside when it is backed by anything but a layer; then the file
   * stays where it was
   */
  async addFromFile(file: string, id: LayerId, expected?: ExpectedLayer): Promise<LayerInfo> {
    const image = await inspectImage(file, { format: 'qcow2' })
    if (
      image.backingFile !== null &&
      !/^(?:\.\.\/\.\.\/layers\/)?l[0-9a-f]{32}\.qcow2$/.test(image.backingFile)
    ) {
      throw fail('disk.backed_outside', { path: file, backing: image.backingFile })
    }
    await this.#ensureFolder()
    const { size } = await stat(file)
    const info: LayerInfo = {
      version: 1,
      id,
      sizeBytes: size,
      sha256: expected?.sha256 ?? (await hashFile(file)),
      virtualSizeBytes: image.virtualSizeBytes,
      createdAt: new Date().toISOString(),
    }
    try {
      await syncAndProtect(file)
      await rename(file, this.path(id))
      await syncFolder(this.#folder)
    } catch (error) {
      throw fsFailure(error, this.path(id))
    }
    await writeJsonAtomic(this.#notePath(id), info).catch(async (error) => {
      // Nobody would find it without its note, or ever remove it.
      await rm(this.path(id), { force: true })
      throw error
    })
    return info
  }

  /** Removes a layer and what has arrived of it. That nobody needs it is the caller's to know. */
  async remove(id: LayerId): Promise<void> {
    try {
      await rm(this.#notePath(id), { force: true })
      await rm(this.path(id), { force: true })
      await this.discardPartial(id)
    } catch (error) {
      throw fsFailure(error, this.path(id))
    }
  }

  /** Where a layer that is arriving is kept, and how much of it an earlier try left. */
  async openPartial(id: LayerId): Promise<PartialLayer> {
    await this.#ensureFolder()
    const path = join(this.#folder, `${checkedId(id)}.partial`)
    const held = await stat(path).catch(() => null)
    return { path, heldBytes: held?.isFile() ? held.size : 0 }
  }

  async discardPartial(id: LayerId): Promise<void> {
    await rm(join(this.#folder, `${checkedId(id)}.partial`), { force: true })
  }

  /** Runs `work` while nobody else of this host receives or removes layer `id`; others wait their turn. */
  async exclusively<Result>(id: LayerId, work: () => Promise<Result>): Promise<Result> {
    while (this.#busy.has(id)) await this.#busy.get(id)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#busy.set(id, promise)
    try {
      return await work()
    } finally {
      this.#busy.delete(id)
      resolve()
    }
  }

  #notePath(id: LayerId): string {
    return join(this.#folder, `${checkedId(id)}.json`)
  }

  async #ensureFolder(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fsFailure(error, this.#folder)
    }
  }
}

/** Ids come from peers: a path is only ever made of a checked one. */
function checkedId(id: string): LayerId {
  const parsed = layerId.safeParse(id)
  if (!parsed.success) throw fail('host.bad_input', { why: 'this is not a layer id' })
  return parsed.data
}

/** SHA-256 of a file in hexadecimal, a piece at a time, so that the event loop stays free. */
async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  await hashRange(path, hash, 0, Number.POSITIVE_INFINITY, signal)
  return hash.digest('hex')
}

/** Feeds bytes `from` to `to` (exclusive, or the end of the file) of a file into `hash`. */
export async function hashRange(
  path: string,
  hash: Hash,
  from: number,
  to: number,
  signal?: AbortSignal,
): Promise<void> {
  const file = await open(path, 'r')
  try {
    const buffer = Buffer.alloc(hashChunkBytes)
    for (let position = from; position < to; ) {
      if (signal?.aborted) throw fail('host.cancelled')
      const wanted = Math.min(hashChunkBytes, to - position)
      const { bytesRead } = await file.read(buffer, 0, wanted, position)
      if (bytesRead === 0) return
      hash.update(buffer.subarray(0, bytesRead))
      position += bytesRead
    }
  } finally {
    await file.close()
  }
}

async function syncAndProtect(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
  await chmod(path, 0o400)
}
