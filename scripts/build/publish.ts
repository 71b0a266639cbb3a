/** Puts a finished build in place, file by file, each by a rename: a reader sees the old or the new one. */
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Moves what is in `fresh` to `dist` and removes what no longer belongs there.
 * @returns the files of the build, relative to `dist`
 */
export function publish(fresh: string, dist: string): string[] {
  const files = allFiles(fresh)
  mkdirSync(dist, { recursive: true })
  // What is named by its content comes first, what names it (entries, the page) last.
  const ordered = [...files].sort((a, b) => Number(isEntry(a)) - Number(isEntry(b)))
  for (const file of ordered) {
    mkdirSync(dirname(join(dist, file)), { recursive: true })
    renameSync(join(fresh, file), join(dist, file))
  }
  const wanted = new Set([...files, '.stamp'])
  for (const old of allFiles(dist)) {
    if (!wanted.has(old)) rmSync(join(dist, old), { force: true })
  }
  return files
}

function isEntry(file: string): boolean {
  return file.endsWith('.html') || (!file.includes('/') && !file.startsWith('chunk-'))
}

function allFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}
