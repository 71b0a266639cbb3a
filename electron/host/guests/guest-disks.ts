/** The disks of a guest as files of this dock. */
import { stat } from 'node:fs/promises'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import type { LayerStore } from '../../disk/layers.ts'
import { topPath } from './guest-launch.ts'

export interface GuestDiskFiles {
  nodeName: string
  topPath: string
  /** Immutable, bottom first. */
  layerPaths: readonly string[]
  virtualSizeBytes: number
}

/** @param folder with the guest's top layers */
export function diskFilesOf(
  { disks }: Pick<GuestDefinition, 'disks'>,
  folder: string,
  layers: Pick<LayerStore, 'path'>,
): GuestDiskFiles[] {
  return disks.map((disk) => ({
    nodeName: disk.nodeName,
    topPath: topPath({ folder }, disk),
    layerPaths: disk.layers.map((layer) => layers.path(layer)),
    virtualSizeBytes: disk.virtualSizeBytes,
  }))
}

/** What a file takes on the disk; 0 when there is none. */
export async function allocatedBytes(path: string): Promise<number> {
  const found = await stat(path).catch(() => null)
  return found === null ? 0 : found.blocks * 512
}
