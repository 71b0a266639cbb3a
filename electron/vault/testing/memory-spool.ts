/** A spool in memory, for models and tests: what a disk keeps over a crash, without one. */
import { fail } from '../../../shared/errors/index.ts'
import type { PackContents } from '../../pages/known-pages.ts'
import type { PackFile } from '../../pages/pack-writer.ts'
import type { Spool, SpooledPack, SpoolPart, SpoolState } from '../spool.ts'

export class MemorySpool implements Spool {
  state: SpoolState | null = null
  readonly files = new Map<string, { bytes: Buffer; contents: PackContents }>()
  readonly parts = new Map<SpoolPart, Buffer>()
  removed = false

  async readState(): Promise<SpoolState | null> {
    return this.state
  }

  async writeState(state: SpoolState): Promise<void> {
    this.state = state
  }

  async begin(packId: Buffer): Promise<PackFile> {
    const parts: Buffer[] = []
    return {
      write: async (more) => {
        parts.push(Buffer.from(more))
      },
      finish: async (contents) => {
        this.files.set(packId.toString('hex'), { bytes: Buffer.concat(parts), contents })
      },
      discard: async () => {},
    }
  }

  async packs(): Promise<SpooledPack[]> {
    return [...this.files].map(([id, { bytes }]) => ({ id, sizeBytes: bytes.length }))
  }

  async readPack(id: string): Promise<Buffer> {
    return this.#file(id).bytes
  }

  async contents(id: string): Promise<PackContents> {
    return this.#file(id).contents
  }

  async writePart(part: SpoolPart, payload: Buffer): Promise<void> {
    this.parts.set(part, payload)
  }

  async readPart(part: SpoolPart): Promise<Buffer> {
    const payload = this.parts.get(part)
    if (payload === undefined) throw fail('vault.damaged_object', { name: part })
    return payload
  }

  packFile(): null {
    return null
  }

  async keepOnly(ids: ReadonlySet<string>): Promise<void> {
    for (const id of [...this.files.keys()]) if (!ids.has(id)) this.files.delete(id)
  }

  async clear(): Promise<void> {
    this.files.clear()
    this.parts.clear()
  }

  async remove(): Promise<void> {
    await this.clear()
    this.state = null
    this.removed = true
  }

  #file(id: string) {
    const file = this.files.get(id)
    if (file === undefined) throw fail('vault.damaged_object', { name: id })
    return file
  }
}
