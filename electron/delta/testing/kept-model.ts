/** What is kept of a guest, in the simplest way, in memory: for tests of the codec. */
import type { KeptBlock } from '../../pages/kept/kept-block.ts'
import type { KnownVisit, VisitStart } from '../../pages/kept/kept-pages.ts'
import { pageBytes, pageIdBytes } from '../grammar.ts'
import type { KeptMemory } from '../kept-memory.ts'

interface Entry {
  id: string
  content: Buffer | null
}

export class KeptModel implements KeptMemory {
  known: KnownVisit | null = null
  #kept = new Map<number, Entry>()
  #entries = new Map<number, Entry>()
  #idKey: Buffer = Buffer.alloc(0)
  #blocks: readonly KeptBlock[] = []

  begin({ idKey, blocks, from }: VisitStart): void {
    this.#idKey = idKey
    this.#blocks = blocks
    this.#entries = new Map(from === 'known' ? this.#kept : [])
  }

  base(block: number): number {
    return this.#blocks.slice(0, block).reduce((sum, { pages }) => sum + pages, 0)
  }

  get end(): number {
    return this.base(this.#blocks.length)
  }

  idEquals(address: number, ids: Uint8Array, at: number): boolean {
    return this.#entries.get(address)?.id === idText(ids, at)
  }

  find(ids: Buffer, at: number): number {
    const id = idText(ids, at)
    for (const [address, entry] of this.#entries) if (entry.id === id) return address
    return -1
  }

  readInto(address: number, out: Buffer, at: number): boolean {
    const content = this.#entries.get(address)?.content ?? null
    content?.copy(out, at)
    return content !== null
  }

  putPage(address: number, ids: Buffer, idAt: number, pages: Buffer, pageAt: number): void {
    const content = Buffer.from(pages.subarray(pageAt, pageAt + pageBytes))
    this.#entries.set(address, { id: idText(ids, idAt), content })
  }

  putCopy(address: number, from: number): void {
    const entry = this.#entries.get(from)
    if (entry !== undefined) this.#entries.set(address, entry)
  }

  putZero(address: number, count: number): void {
    for (let page = address; page < address + count; page += 1) this.#entries.delete(page)
  }

  putForeign(address: number, ids: Buffer, at: number): void {
    this.#entries.set(address, { id: idText(ids, at), content: null })
  }

  eachKnown(tell: (address: number, ids: Buffer, count: number) => void): void {
    for (const [address, { id }] of [...this.#entries].sort(([a], [b]) => a - b))
      tell(address, Buffer.from(id, 'hex'), 1)
  }

  finish(visit: Buffer): void {
    this.#kept = new Map([...this.#entries].filter(([, { content }]) => content !== null))
    this.known = { visit, idKey: this.#idKey, blocks: this.#blocks }
  }

  /** Flips a bit of, or loses, what is kept. */
  damage(address: number, how: 'lost' | 'flipped'): void {
    const entry = this.#kept.get(address)
    if (entry?.content === undefined || entry.content === null) return
    const flipped = Buffer.from(entry.content)
    flipped.writeUInt8(flipped.readUInt8(9) ^ 4, 9)
    this.#kept.set(address, { id: entry.id, content: how === 'lost' ? null : flipped })
  }

  /** What is kept, to be compared. */
  get text(): string {
    const sorted = [...this.#kept].sort(([a], [b]) => a - b)
    return sorted.map(([address, { id }]) => `${address}:${id}`).join(' ')
  }
}

function idText(ids: Uint8Array, at: number): string {
  return Buffer.from(ids.subarray(at, at + pageIdBytes)).toString('hex')
}
