/** Lets a face without a native file dialog choose a file of this PC. Promises names, kinds and sizes, nothing of the contents. */
import { readdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { FileEntry } from '../../shared/contract.ts'
import { fail } from '../../shared/errors/index.ts'

const maxEntries = 2000

export interface FolderListing {
  path: string
  parent: string | null
  entries: FileEntry[]
}

/** @throws host.bad_input when `path` is no readable folder */
export async function listFolder(path: string | null): Promise<FolderListing> {
  if (path !== null && !isAbsolute(path)) throw fail('host.bad_input', { why: 'the path is not absolute' })
  const folder = resolve(path ?? homedir())
  const names = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw fail('host.bad_input', { why: `${folder} is not a folder that can be read` }, { cause: error })
  })
  const visible = names.filter((entry) => !entry.name.startsWith('.')).slice(0, maxEntries)
  const entries = await Promise.all(visible.map((entry) => describeEntry(folder, entry.name)))
  return {
    path: folder,
    parent: folder === '/' ? null : dirname(folder),
    entries: entries.filter((entry) => entry !== null).sort(byKindThenName),
  }
}

async function describeEntry(folder: string, name: string): Promise<FileEntry | null> {
  const found = await stat(join(folder, name)).catch(() => null)
  if (found?.isDirectory()) return { name, kind: 'folder', sizeBytes: null }
  return found?.isFile() ? { name, kind: 'file', sizeBytes: found.size } : null
}

function byKindThenName(a: FileEntry, b: FileEntry): number {
  if (a.kind !== b.kind) return a.kind === 'folder' ? -1 : 1
  return a.name.localeCompare(b.name)
}
