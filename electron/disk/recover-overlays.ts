/**
 * After QEMU died while a guest's disks were frozen: brings what the guest had written since into its top layers, before it
 * is started or its disks are used in any other way. Promises that nothing is lost that the guest was told is on its
 * disk, and that being broken off at any moment loses nothing either. Relies on no QEMU running for this guest.
 */
import { rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fsFailure, syncFolder, systemErrorCode } from '../platform/atomic-file.ts'
import { commitOverlay } from './image.ts'
import { overlayFiles } from './overlay.ts'

/** A disk with everything below it: its overlay is copied into its top layer over the whole chain. */
export interface RecoverableDisk {
  topPath: string
  /** Immutable layers, bottom first. */
  layerPaths: readonly string[]
}

/**
 * Does nothing for disks that were not frozen. @returns how many were
 * @throws disk.locked when QEMU still runs; disk.truncated, host.disk_full, host.no_permission, disk.image_tool_failed,
 * host.cancelled: the overlay is kept, and the guest must not be started without it
 */
export async function recoverOverlays(
  disks: readonly RecoverableDisk[],
  options: { signal?: AbortSignal } = {},
): Promise<number> {
  let recovered = 0
  for (const disk of disks) {
    const { part, live, done } = overlayFiles(disk.topPath)
    if (await exists(live)) {
      await commitOverlay(live, [...disk.layerPaths, disk.topPath], options)
      recovered += 1
    }
    await remove([part, live, done], dirname(disk.topPath))
  }
  return recovered
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw fsFailure(error, path)
  }
}

/** For good: an overlay that came back after a power cut would undo what the guest writes from now on. */
async function remove(paths: readonly string[], folder: string): Promise<void> {
  const found = await Promise.all(paths.map(exists))
  if (!found.includes(true)) return
  try {
    await Promise.all(paths.map((path) => rm(path, { force: true })))
    await syncFolder(folder)
  } catch (error) {
    throw fsFailure(error, folder)
  }
}
