/** What sender and receiver need of the pages that are kept of a guest (`pages/kept/`), so that tests can put a model there. */
export interface KeptMemory {
  readonly known: {
    visit: Buffer
    idKey: Buffer
    blocks: readonly { name: string; pages: number }[]
  } | null
  begin(options: {
    idKey: Buffer
    blocks: readonly { name: string; pages: number }[]
    from: 'known' | 'nothing'
  }): void
  /** The address of a block's first page. */
  base(block: number): number
  /** Behind the last address. */
  readonly end: number
  idEquals(address: number, ids: Uint8Array, at: number): boolean
  idAt(address: number, out: Buffer, at: number): boolean
  find(ids: Buffer, at: number): number
  readInto(address: number, out: Buffer, at: number): boolean
  putPage(address: number, ids: Buffer, idAt: number, pages: Buffer, pageAt: number): void
  putCopy(address: number, from: number): void
  putZero(address: number, count: number): void
  putForeign(address: number, ids: Buffer, at: number): void
  eachKnown(tell: (address: number, ids: Buffer, count: number) => void): void
}
