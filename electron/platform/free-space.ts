import { statfs } from 'node:fs/promises'

/** What a user may still write to the file system of a folder, in bytes; null where it does not say. */
export async function freeBytes(folder: string): Promise<number | null> {
  const disk = await statfs(folder).catch(() => null)
  return disk === null ? null : disk.bavail * disk.bsize
}
