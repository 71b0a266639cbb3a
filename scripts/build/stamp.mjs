/**
 * Whether `dist/` still belongs to the sources: a hash of their contents, kept in `dist/.stamp`. Plain
 * JavaScript without packages, so that the answer "nothing to do" comes at once, under any Node.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
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
const notBuilt = /\.test\.tsx?$|\.md$|~$|^\./

/** A hash over names and contents of all inputs. */
export function sourcesHash(root) {
  const hash = createHash('sha256')
  for (const input of inputs) {
    for (const file of filesBelow(root, input)) {
      hash.update(`\0${file}\0`).update(readFileSync(join(root, file)))
    }
  }
  return hash.digest('hex')
}

/** True when `dist` was built from exactly these sources and nothing of it is missing. */
export function isFresh(dist, hash) {
  try {
    const stamp = JSON.parse(readFileSync(join(dist, '.stamp'), 'utf8'))
    return stamp.hash === hash && stamp.files.every((file) => existsSync(join(dist, file)))
  } catch {
    return false
  }
}

export function writeStamp(dist, hash, files) {
  const temporary = join(dist, `.stamp-${process.pid}`)
  writeFileSync(temporary, JSON.stringify({ hash, files }))
  renameSync(temporary, join(dist, '.stamp'))
}

/** The files below a path, relative to `root`, in a fixed order. */
export function filesBelow(root, path) {
  let entries
  try {
    entries = readdirSync(join(root, path), { withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOTDIR') return [path]
    if (error.code === 'ENOENT') return []
    throw error
  }
  const files = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (notBuilt.test(entry.name)) continue
    const below = join(path, entry.name)
    if (entry.isDirectory()) files.push(...filesBelow(root, below))
    else files.push(below)
  }
  return files
}
