/** Whether `dist/` still belongs to the sources: a hash of their contents, kept in `dist/.stamp`. */
import { createHash } from 'node:crypto'
import { type Dirent, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What the build reads. A folder means everything below it. */
const inputs = [
  'electron',
  'renderer',
  'shared',
  'assets/icons',
  'scripts/build',
  'scripts/build.mjs',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vite.config.ts',
]
const notBuilt = /(\.(test|bench|md)\.[a-z]+|\.md|~)$|^\./

/** @param root the repository @returns a hash over names and contents of all inputs */
export function sourcesHash(root: string): string {
  const hash = createHash('sha256').update(process.versions.node)
  for (const input of inputs) {
    for (const file of filesBelow(root, input)) {
      hash.update(`\0${file}\0`).update(readFileSync(join(root, file)))
    }
  }
  return hash.digest('hex')
}

/** @returns true when `dist` was built from exactly these sources and nothing of it is missing */
export function isFresh(dist: string, hash: string): boolean {
  try {
    const stamp: unknown = JSON.parse(readFileSync(join(dist, '.stamp'), 'utf8'))
    return isStamp(stamp) && stamp.hash === hash && stamp.files.every((file) => existsSync(join(dist, file)))
  } catch {
    return false
  }
}

interface Stamp {
  hash: string
  files: string[]
}

/** By hand, since loading zod would take longer than the rest of the check. */
function isStamp(value: unknown): value is Stamp {
  if (typeof value !== 'object' || value === null || !('hash' in value) || !('files' in value)) return false
  return Array.isArray(value.files) && value.files.every((file) => typeof file === 'string')
}

/** @param files what the build has made, relative to `dist` */
export function writeStamp(dist: string, hash: string, files: readonly string[]): void {
  const temporary = join(dist, `.stamp-${process.pid}`)
  writeFileSync(temporary, JSON.stringify({ hash, files }))
  renameSync(temporary, join(dist, '.stamp'))
}

/** Paths relative to `root`, in a fixed order. */
export function filesBelow(root: string, path: string): string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(join(root, path), { withFileTypes: true })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'ENOTDIR') return [path]
    if (code === 'ENOENT') return []
    throw error
  }
  const files: string[] = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (notBuilt.test(entry.name)) continue
    const below = join(path, entry.name)
    if (entry.isDirectory()) files.push(...filesBelow(root, below))
    else files.push(below)
  }
  return files
}
