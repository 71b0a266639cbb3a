/**
 * Azurite as a store that is killed and comes back with everything it had answered for, on the same port, like a service
 * that was out of reach; its clock can be put ahead. Promises that `end` leaves no process.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import { type Azurite, startAzurite } from '../objects/azurite.ts'
import { processIdentity, waitUntilDead } from '../platform/processes.ts'

const hooks = join(import.meta.dirname, 'lasting-azurite-hooks.ts')

export class LastingAzurite {
  readonly #folder: string
  #azurite: Azurite
  #aheadMs = 0

  private constructor(folder: string, azurite: Azurite) {
    this.#folder = folder
    this.#azurite = azurite
  }

  /** @throws store.azurite_missing, store.azurite_failed */
  static async start(folder: string): Promise<LastingAzurite> {
    await mkdir(folder, { recursive: true })
    return new LastingAzurite(folder, await start(folder, 0))
  }

  get place(): VaultPlace {
    return { kind: 'azure', access: this.#azurite.access('vault') }
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    const identity = processIdentity(this.#azurite.pid)
    if (identity === null) return
    process.kill(identity.pid, 'SIGKILL')
    await waitUntilDead(identity, 10_000)
  }

  async startAgain(): Promise<void> {
    this.#azurite = await start(this.#folder, Number(new URL(this.#azurite.endpoint).port))
  }

  /** Lets time pass by its clock. */
  async letPass(ms: number): Promise<void> {
    this.#aheadMs += ms
    await writeFile(clockPath(this.#folder), String(this.#aheadMs))
    // It looks every 50 ms.
    await new Promise((resolve) => setTimeout(resolve, 300))
  }

  async end(): Promise<void> {
    await this.#azurite.end()
  }
}

async function start(folder: string, port: number): Promise<Azurite> {
  const hooked = pathToFileURL(hooks)
  hooked.searchParams.set('clock', clockPath(folder))
  return await startAzurite({ folder, port, imports: [hooked.href] })
}

function clockPath(folder: string): string {
  return join(folder, 'clock-ahead')
}
