/**
 * The memory of this PC: what is free, and what of it is promised to guests on their way here. QEMU takes a guest's
 * memory page by page as it arrives, so the system counts it as free until then. Promises that of two guests that
 * come at once, or one that comes and one that is started, no more is promised than there is. What idle guests
 * have not touched is not held back: most never touch it, and holding it back would keep guests from PCs that
 * have room for them.
 */
import { readFile } from 'node:fs/promises'
import { fail } from '../../shared/errors/index.ts'
import { formatMemory } from '../../shared/format.ts'
import type { GuestDefinition } from '../../shared/models/guest-definition.ts'

/** Memory left to this PC's own programs when a guest is started or comes. */
const reservedBytes = 256 * 1024 ** 2

interface Pledge {
  guestId: string
  /** What it is still going to take, in bytes. */
  remainingBytes: () => Promise<number>
}

export class Memory {
  readonly #freeBytes: () => Promise<number>
  /** In the order in which they were given: who comes later waits for who came first. */
  readonly #pledges: Pledge[] = []

  constructor(freeBytes = memoryFreeBytes) {
    this.#freeBytes = freeBytes
  }

  /** What may be given to a guest now, in bytes: to one that was pledged memory, what those before it leave. */
  async roomFor(guestId: string): Promise<number> {
    const own = this.#pledges.findIndex((pledge) => pledge.guestId === guestId)
    const before = this.#pledges.slice(0, own < 0 ? undefined : own)
    // What is pledged first: what a guest takes in between is counted twice rather than not at all.
    const pledged = await Promise.all(before.map((pledge) => pledge.remainingBytes()))
    const free = await this.#freeBytes()
    return Math.max(
      0,
      pledged.reduce((room, bytes) => room - bytes, free - reservedBytes),
    )
  }

  /** @throws guest.too_big when starting this guest would starve this PC, or a guest that is on its way here */
  async assertRoom({ id, name, memoryBytes }: GuestDefinition): Promise<void> {
    const room = await this.roomFor(id)
    if (memoryBytes <= room) return
    throw fail('guest.too_big', { name, needed: formatMemory(memoryBytes), free: formatMemory(room) })
  }

  /** Holds memory back for a guest that is surely going to take it. @returns what ends that */
  pledge(guestId: string, remainingBytes: () => Promise<number>): () => void {
    const pledge = { guestId, remainingBytes }
    this.#pledges.push(pledge)
    return () => {
      const index = this.#pledges.indexOf(pledge)
      if (index >= 0) this.#pledges.splice(index, 1)
    }
  }
}

/** Memory that can be had without swapping (MemAvailable of /proc/meminfo). */
export async function memoryFreeBytes(): Promise<number> {
  return kibibytesIn(await readFile('/proc/meminfo', 'utf8'), 'MemAvailable') * 1024
}

/** What a process holds of memory now (VmRSS of /proc/PID/status); 0 when it is gone. */
export async function residentBytes(pid: number): Promise<number> {
  return kibibytesIn(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''), 'VmRSS') * 1024
}

function kibibytesIn(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
}
