/**
 * The layers and boot files that other docks brought here in advance, by guest, in `<data>/warm.json`. Promises that
 * what is brought is written down before its first byte arrives, so that it can be removed whatever happens meanwhile,
 * and that nothing is removed that a guest here, one in the trash or another guest that is kept ready needs. What was
 * here before is not written down, and so stays.
 */

import { join } from 'node:path'
import { z } from 'zod'
import { dockId } from '../../../../shared/models/dock.ts'
import { bootFile, type GuestDefinition, layerId } from '../../../../shared/models/guest-definition.ts'
import type { LayerStore } from '../../../disk/layers.ts'
import { readJson, writeJsonAtomic } from '../../../platform/atomic-file.ts'
import type { Log } from '../../../platform/log.ts'
import { OneAtATime } from '../../../platform/one-at-a-time.ts'
import { type BootFileStore, bootFileIds } from '../../guests/boot-files.ts'
import { readGuestRecords } from '../../guests/guest-record.ts'
import type { Guests } from '../../guests/guests.ts'

const brought = z.strictObject({
  guestId: z.uuid(),
  fromDockId: dockId,
  layers: z.array(layerId),
  bootFiles: z.array(bootFile),
})
export type Brought = z.infer<typeof brought>

const warmFile = z.strictObject({ version: z.literal(1), brought: z.array(brought) })

export interface WarmFilesOptions {
  dataDir: string
  guests: Pick<Guests, 'list'>
  layers: LayerStore
  bootFiles: BootFileStore
  log: Log
}

export class WarmFiles {
  readonly #options: WarmFilesOptions
  #brought: Brought[]
  readonly #queue = new OneAtATime()

  private constructor(options: WarmFilesOptions, list: Brought[]) {
    this.#options = options
    this.#brought = list
  }

  /** @throws host.state_unreadable */
  static async open(options: WarmFilesOptions): Promise<WarmFiles> {
    const stored = await readJson(pathIn(options.dataDir), warmFile)
    return new WarmFiles(options, stored?.brought ?? [])
  }

  get list(): readonly Brought[] {
    return this.#brought
  }

  /** Writes down what is going to be brought. @throws host.disk_full, host.no_permission */
  async expect(coming: Brought): Promise<void> {
    await this.#exclusively(async () => {
      const known = this.#brought.find((each) => isOf(each, coming))
      const all: Brought = {
        ...coming,
        layers: [...new Set([...(known?.layers ?? []), ...coming.layers])],
        bootFiles: [...new Set([...(known?.bootFiles ?? []), ...coming.bootFiles])],
      }
      await this.#write([...this.#brought.filter((each) => !isOf(each, coming)), all])
    })
  }

  /** Removes what was brought for these, as far as nothing else needs it. @returns for whom something was written down */
  async forget(isGone: (each: Brought) => boolean): Promise<Brought[]> {
    return await this.#exclusively(async () => {
      const gone = this.#brought.filter(isGone)
      if (gone.length === 0) return []
      const left = this.#brought.filter((each) => !gone.includes(each))
      const needed = await this.#needed(left)
      const files = new Set(gone.flatMap((each) => [...each.layers, ...each.bootFiles]))
      for (const id of files) if (!needed.has(id)) await this.#remove(id)
      // Last: a crash in between must find what is left to be removed.
      await this.#write(left)
      return gone
    })
  }

  async #needed(left: readonly Brought[]): Promise<Set<string>> {
    const { guests, dataDir, log } = this.#options
    const deleted = await readGuestRecords(join(dataDir, 'trash'), log)
    const definitions = [...guests.list(), ...deleted].map(({ definition }) => definition)
    return new Set([
      ...definitions.flatMap(filesOf),
      ...left.flatMap((each) => [...each.layers, ...each.bootFiles]),
    ])
  }

  async #remove(id: string): Promise<void> {
    const { layers, bootFiles } = this.#options
    const layer = layerId.safeParse(id)
    if (layer.success) await layers.exclusively(layer.data, () => layers.remove(layer.data))
    else await bootFiles.remove(id)
  }

  async #write(list: Brought[]): Promise<void> {
    await writeJsonAtomic(pathIn(this.#options.dataDir), { version: 1, brought: list })
    this.#brought = list
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work)
  }
}

function pathIn(dataDir: string): string {
  return join(dataDir, 'warm.json')
}

function isOf(a: Brought, b: Brought): boolean {
  return a.guestId === b.guestId && a.fromDockId === b.fromDockId
}

function filesOf({ disks, boot }: GuestDefinition): string[] {
  return [...disks.flatMap((disk) => disk.layers), ...bootFileIds(boot)]
}
