/** What lies in one folder of a folder store, in either form that an object can have there (see folder.ts). */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../platform/atomic-file.ts'
import { isAbsence } from './folder-failures.ts'
import type { ObjectInfo } from './object-store.ts'

/** The file in a folder that stands for an object. No object's own name begins with a dot. */
export const contentName = '.content'
const statsAtOnce = 64

/**
 * One folder's objects and the folders in it that may hold more. Also tells of files that somebody else put there.
 * Names that begin with a dot are the file system's, the desktop's or ours.
 */
export async function readFolder(
  root: string,
  folder: string,
  prefix: string,
): Promise<{ objects: ObjectInfo[]; folders: string[] }> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error: unknown) => {
    if (isAbsence(error) || isForeign(error, folder)) return []
    throw error
  })
  const folders: string[] = []
  const files: { name: string; path: string }[] = []
  for (const entry of entries) {
    const path = `${folder}${entry.name}`
    if (entry.name === contentName) files.push({ name: folder.slice(0, -1), path })
    if (entry.name.startsWith('.') || !`${path}/`.startsWith(prefix)) continue
    if (entry.isDirectory()) folders.push(`${path}/`)
    else if (entry.isFile()) files.push({ name: path, path })
  }
  const objects: ObjectInfo[] = []
  const wanted = files.filter(({ name }) => name !== '' && name.startsWith(prefix))
  for (let done = 0; done < wanted.length; done += statsAtOnce) {
    const some = wanted.slice(done, done + statsAtOnce)
    const infos = await Promise.all(some.map(({ name, path }) => infoOf(name, join(root, path))))
    objects.push(...infos.filter((info) => info !== null))
  }
  return { objects, folders }
}

/** A folder that no object can be in, such as `lost+found`, may be closed to us. */
function isForeign(error: unknown, folder: string): boolean {
  return systemErrorCode(error) === 'EACCES' && !/^([a-z0-9][a-z0-9.-]*\/)*$/.test(folder)
}

async function infoOf(name: string, path: string): Promise<ObjectInfo | null> {
  try {
    const { size, mtimeMs } = await stat(path)
    return { name, sizeBytes: size, writtenAtMs: mtimeMs }
  } catch (error) {
    // Removed since its folder was read.
    if (isAbsence(error)) return null
    throw error
  }
}
