/** What a source tells a destination of a guest: definition, layers, boot files, sizes. */
import { fail } from '../../../shared/errors/index.ts'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import type { LayerStore } from '../../disk/layers.ts'
import { machineLayoutVersion } from '../../qemu/command-line.ts'
import { type BootFileStore, bootFileIds } from '../guests/boot-files.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { GuestOffer } from './messages.ts'

/** @throws disk.layer_missing, guest.file_missing */
export async function makeOffer(
  guest: LocalGuest,
  layers: LayerStore,
  files: BootFileStore,
): Promise<GuestOffer> {
  const { definition } = guest
  const layerIds = [...new Set(definition.disks.flatMap((disk) => disk.layers))]
  return {
    machineLayout: machineLayoutVersion,
    definition,
    homeDockId: guest.record.homeDockId,
    createdAtMs: guest.record.createdAtMs,
    bootedAtMs: guest.record.bootedAtMs,
    layers: await Promise.all(layerIds.map((id) => describeLayer(layers, id))),
    bootFiles: await Promise.all(
      bootFileIds(definition.boot).map(async (id) => {
        const sizeBytes = await files.size(id)
        if (sizeBytes === null) throw fail('guest.file_missing', { path: files.path(id), name: guest.name })
        return { id, sizeBytes }
      }),
    ),
    topBytes: await guest.topBytes(),
  }
}

async function describeLayer(layers: LayerStore, id: string): Promise<GuestOffer['layers'][number]> {
  const { sizeBytes, sha256, virtualSizeBytes } = await layers.info(id)
  return { id, sizeBytes, sha256, virtualSizeBytes }
}

/** The files of a guest that never change, as far as they are here: what is in them need not cross as memory. */
export function unchangingFiles(
  { disks, boot }: GuestDefinition,
  layers: LayerStore,
  files: BootFileStore,
): { id: string; path: string }[] {
  const layerIds = [...new Set(disks.flatMap((disk) => disk.layers))]
  return [
    ...bootFileIds(boot).map((id) => ({ id, path: files.path(id) })),
    ...layerIds.map((id) => ({ id, path: layers.path(id) })),
  ]
}

/** Bytes of layers and boot files that the other side lacks. */
export function missingBytes(
  offer: GuestOffer,
  missing: { missingLayers: readonly string[]; missingBootFiles: readonly string[] },
): number {
  const sum = (needs: readonly { id: string; sizeBytes: number }[], ids: readonly string[]): number =>
    needs.filter((need) => ids.includes(need.id)).reduce((bytes, need) => bytes + need.sizeBytes, 0)
  return sum(offer.layers, missing.missingLayers) + sum(offer.bootFiles, missing.missingBootFiles)
}
