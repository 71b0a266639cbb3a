/**
 * Opens the place that a person chose, whatever kind it is, with retries around it. The only file that knows all
 * kinds; nothing is written by opening, but for a folder that shall be made.
 */
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import type { AzureAccess } from './azure/access.ts'
import { startAzurite } from './azurite.ts'
import { openFolder } from './folder.ts'
import type { ObjectStore } from './object-store.ts'
import type { RetryOptions } from './retry.ts'
import { retrying } from './retrying-store.ts'

export interface OpenPlaceOptions extends RetryOptions {
  /** Where the emulator keeps what it is given. */
  azuriteFolder: string
  /** Makes the last part of a folder's path where it is not there. */
  makesFolder?: boolean
  /** Names a proxy. */
  env?: NodeJS.ProcessEnv
}

export interface OpenedPlace {
  store: ObjectStore
  /** Closes the store, and ends the emulator where one was started. */
  close(): Promise<void>
}

/** In Azurite there is nothing else. */
const azuriteContainer = 'vault'

/** @throws what `openFolder`, `openAzure` and `startAzurite` do */
export async function openPlace(place: VaultPlace, options: OpenPlaceOptions): Promise<OpenedPlace> {
  switch (place.kind) {
    case 'folder':
      return opened(retrying(await openFolder(place.path, { makes: options.makesFolder ?? false }), options))
    case 'azure':
      return opened(await azureStore(place.access, options))
    case 'azurite': {
      const azurite = await startAzurite({ folder: options.azuriteFolder })
      return opened(await azureStore(azurite.access(azuriteContainer), options), () => azurite.end())
    }
  }
}

function opened(store: ObjectStore, end: () => Promise<void> = async () => {}): OpenedPlace {
  const close = async (): Promise<void> => {
    store.close()
    await end()
  }
  return { store, close }
}

/** The SDK costs a quarter of a second and 23 MB: only who uses Azure pays for it. */
async function azureStore(access: AzureAccess, options: OpenPlaceOptions): Promise<ObjectStore> {
  const { clock, env } = options
  const { openAzure } = await import('./azure/store.ts')
  return retrying(openAzure(access, { ...(clock ? { clock } : {}), ...(env ? { env } : {}) }), options)
}
