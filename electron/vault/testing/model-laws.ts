/** What must hold at every instant of the model; a breach is remembered, so that the run can tell its whole story. */
import { packsOfManifest } from '../codec/manifest.ts'
import { decodeIndex } from '../codec/page-index-file.ts'
import { idIn, prefixes } from '../names.ts'
import { fenceLifeMs } from '../open-vault.ts'
import { openPlainly } from './plain-sealer.ts'

const decidedOnce = [prefixes.checkpoints, prefixes.doomed, prefixes.packs]

export class StoreLaws {
  readonly broken: string[] = []
  readonly #objects: ReadonlyMap<string, { body: Buffer }>
  /** What each listed checkpoint uses. */
  readonly packsOf = new Map<string, string[]>()
  /** What a pack held when it was first put. */
  readonly #firstBodies = new Map<string, Buffer>()
  /** Packs that an index ever named: their owner does not put them any more, so their names may be free again. */
  readonly #indexed = new Set<string>()
  /** Lists of doomed packs that were decided: their sweep does not decide again, so their names may be free again. */
  readonly #doomed = new Set<string>()

  constructor(objects: ReadonlyMap<string, { body: Buffer }>) {
    this.#objects = objects
  }

  /** Before a change: `body` null is a removal. */
  check(name: string, body: Buffer | null, nowMs: number, writtenAtMs: number): void {
    const before = this.#objects.get(name)?.body
    if (before?.length === 0 && decidedOnce.some((prefix) => name.startsWith(prefix))) {
      const isLate = body === null && nowMs - writtenAtMs > fenceLifeMs
      const isDone =
        body === null && (this.#indexed.has(name.slice(prefixes.packs.length)) || this.#doomed.has(name))
      if (body?.length !== 0 && !isLate && !isDone) this.broken.push(`the fence ${name} was overwritten`)
    }
    const checkpoint = idIn(prefixes.checkpoints, name)
    if (checkpoint !== null) this.#checkpoint(checkpoint, body)
    if (name.startsWith(prefixes.doomed) && body !== null && body.length > 0) this.#doomed.add(name)
    const pack = idIn(prefixes.packs, name)
    if (pack !== null) this.#pack(pack, body)
    if (idIn(prefixes.index, name) !== null && body !== null) {
      for (const { packId } of decodeIndex(name, openPlainly(name, body))) {
        this.#indexed.add(packId.toString('hex'))
      }
    }
  }

  #checkpoint(id: string, body: Buffer | null): void {
    if (body === null || body.length === 0) {
      this.packsOf.delete(id)
      return
    }
    const packs = packsOfManifest(id, openPlainly(prefixes.checkpoints + id, body))
    this.packsOf.set(id, packs)
    for (const pack of packs) {
      const size = this.#objects.get(prefixes.packs + pack)?.body.length ?? 0
      if (size === 0) this.broken.push(`the checkpoint ${id} was published without its pack ${pack}`)
    }
  }

  #pack(id: string, body: Buffer | null): void {
    if (body !== null && body.length > 0) {
      const first = this.#firstBodies.get(id)
      if (first && !first.equals(body)) this.broken.push(`the pack ${id} was changed`)
      this.#firstBodies.set(id, body)
      return
    }
    for (const [checkpoint, packs] of this.packsOf) {
      if (packs.includes(id)) this.broken.push(`the pack ${id} was deleted, which ${checkpoint} needs`)
    }
  }
}
