/**
 * One packer fed by several readers at once: memory as it arrives, disks, boot files. Promises that each page gets its
 * place in the table of its region, and that all readers wait together when the packer has enough. Relies on each
 * reader waiting for what it is given before it brings its next page.
 */
import type { KnownPages } from '../pages/known-pages.ts'
import type { PackSink } from '../pages/pack-writer.ts'
import { Packer, type PackerTotals } from '../pages/packer.ts'
import { PageHasher, pageBytes } from '../pages/page-id.ts'
import { PressThread } from '../pages/press-thread.ts'
import type { OpenVault } from './open-vault.ts'
import type { RegionTable } from './region-table.ts'

/** A page by its number, with the id that `recognise` has told. */
export interface PageToKeep {
  page: number
  /** The page is at `offset` of it. */
  bytes: Buffer
  offset: number
  id: Buffer
}

export class CaptureFeed {
  readonly #packer: Packer
  /** Of the page that the packer is looking at. */
  #region: RegionTable | null = null
  #wait: Promise<void> | null = null

  constructor(vault: OpenVault, known: KnownPages, sink: PackSink) {
    this.#packer = new Packer({
      known,
      sink,
      hasher: new PageHasher(vault.pageIdKey),
      frameKeyOf: vault.frameKeyOf,
      random: vault.random,
      press: new PressThread(),
      locations: {
        zero: (page) => this.#region?.zeros(page, 1),
        page: (page, frame, slot, id) => this.#region?.page(page, frame, slot, id),
      },
    })
  }

  /**
   * Takes the page at `offset` of `bytes`.
   * @returns a promise where that has to be waited for; until then `bytes` stay as they are
   * @throws what the sink threw
   */
  add(region: RegionTable, page: number, bytes: Buffer, offset = 0): Promise<void> | undefined {
    // Readers that wait go on in the order in which they came; one may find that another has filled the packer again.
    if (this.#wait !== null) return this.#wait.then(() => this.add(region, page, bytes, offset))
    this.#region = region
    return this.#waitFor(this.#packer.add(page, bytes, offset))
  }

  /** How many pages were in the vault before. */
  get knownPages(): number {
    return this.#packer.knownPages
  }

  /**
   * Takes a page at once if it is zero, or known already.
   * @param id gets the page's id unless it is zero
   * @returns whether it was taken; if not, `keep` takes it
   * @throws what the sink threw
   */
  recognise(region: RegionTable, page: number, bytes: Buffer, id: Buffer): boolean {
    this.#region = region
    return this.#packer.recognise(page, bytes, 0, id)
  }

  /** Takes a page by its id alone, if it is known. @returns whether it was taken @throws what the sink threw */
  addKnown(region: RegionTable, page: number, id: Buffer): boolean {
    this.#region = region
    return this.#packer.addKnown(page, id)
  }

  /** Whether `addKnown` would take it. */
  knows(id: Buffer): boolean {
    return this.#packer.knows(id)
  }

  /** Resolves when `keep` may be called, unless somebody else was sooner; null when it may at once. */
  get busy(): Promise<void> | null {
    return this.#wait
  }

  /** Takes a page that was not recognised when it came, now. @throws what the sink threw; Error while busy */
  keep(region: RegionTable, { page, bytes, offset, id }: PageToKeep): void {
    this.#region = region
    void this.#waitFor(this.#packer.keep(page, bytes, offset, id))
  }

  /** Takes neighbouring pages; the last may be shorter and is filled up with zeros. @throws what the sink threw */
  async addRun(region: RegionTable, firstPage: number, bytes: Buffer): Promise<void> {
    const wholeBytes = bytes.length - (bytes.length % pageBytes)
    for (let at = 0; at < wholeBytes; at += pageBytes) {
      const wait = this.add(region, firstPage + at / pageBytes, bytes, at)
      if (wait !== undefined) await wait
    }
    if (wholeBytes === bytes.length) return
    const last = Buffer.alloc(pageBytes)
    bytes.copy(last, 0, wholeBytes)
    await this.add(region, firstPage + wholeBytes / pageBytes, last)
  }

  /** Makes all packs durable. @throws what the sink threw */
  async finish(): Promise<PackerTotals> {
    return await this.#packer.finish()
  }

  async discard(): Promise<void> {
    await this.#packer.discard()
  }

  #waitFor(wait: Promise<void> | undefined): Promise<void> | undefined {
    if (wait === undefined) return undefined
    this.#wait = wait.finally(() => {
      this.#wait = null
    })
    this.#wait.catch(() => {})
    return this.#wait
  }
}
