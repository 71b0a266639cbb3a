/**
 * Pictures of guests' screens, taken only when someone looks. Promises at most one picture a guest in 1.5 s
 * however many look, and that a picture that did not change keeps its revision.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { takePicture } from '../qemu/screen.ts'
import type { Guests } from './guests/guests.ts'
import type { LocalGuest } from './guests/local-guest.ts'
import type { PeerCalls } from './peer-calls.ts'

export interface Picture {
  revision: number
  pngBase64: string
}

interface Kept {
  revision: number
  png: Buffer
  takenAtMs: number
}

const freshForMs = 1500
/** A larger picture does not fit one message between docks. */
const maxPngBytes = 700 * 1024

export class Pictures {
  readonly #guests: Guests
  readonly #calls: PeerCalls
  readonly #kept = new Map<string, Kept>()
  readonly #taking = new Map<string, Promise<Kept | null>>()

  constructor(guests: Guests, calls: PeerCalls) {
    this.#guests = guests
    this.#calls = calls
    calls.serve('guests.picture', (_from, { guestId, sinceRevision }) => this.#local(guestId, sinceRevision))
  }

  /** The picture of a guest here or on another dock; null when there is none newer than `sinceRevision`. */
  async get(dockId: string, guestId: string, sinceRevision: number | null): Promise<Picture | null> {
    if (dockId === this.#calls.net.id) return await this.#local(guestId, sinceRevision)
    return await this.#calls.ask(dockId, 'guests.picture', { guestId, sinceRevision })
  }

  async #local(guestId: string, sinceRevision: number | null): Promise<Picture | null> {
    const kept = await this.#fresh(this.#guests.get(guestId))
    if (kept === null || kept.revision === sinceRevision) return null
    return { revision: kept.revision, pngBase64: kept.png.toString('base64') }
  }

  async #fresh(guest: LocalGuest): Promise<Kept | null> {
    const kept = this.#kept.get(guest.id) ?? null
    const usable = guest.process !== null && guest.state.kind === 'running'
    if (!usable || (kept !== null && performance.now() - kept.takenAtMs < freshForMs)) return kept
    const running = this.#taking.get(guest.id)
    if (running !== undefined) return await running
    const taking = this.#take(guest, kept).finally(() => this.#taking.delete(guest.id))
    this.#taking.set(guest.id, taking)
    return await taking
  }

  async #take(guest: LocalGuest, before: Kept | null): Promise<Kept | null> {
    const path = join(guest.runDir, 'picture.png')
    try {
      await takePicture(guest.requireProcess('seen').qmp, path)
      const png = await readFile(path)
      const same = before !== null && png.equals(before.png)
      const revision = same ? before.revision : (before?.revision ?? 0) + 1
      if (png.length > maxPngBytes) return before
      const kept = { revision, png, takenAtMs: performance.now() }
      this.#kept.set(guest.id, kept)
      return kept
    } catch {
      return before
    } finally {
      await rm(path, { force: true })
    }
  }
}
