/**
 * Builds everything into `dist/`: the page, the Electron main and preload, the headless host and the command
 * line. Promises: nothing is done, in under 150 ms, while sources and configuration are what they were;
 * `dist/` is only ever replaced file by file, so that a program that starts meanwhile finds whole files; of
 * several builds at once one works and the others wait and find it done. Relies on installed packages; brings
 * itself to Node 24 where an older one has started it.
 *
 *   node scripts/build.mjs [--force] [--quiet]
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isFresh, sourcesHash, writeStamp } from './build/stamp.mjs'

const root = resolve(import.meta.dirname, '..')
// Vite reads its configuration from the point of view of the working directory.
process.chdir(root)
const dist = join(root, 'dist')
const cache = join(root, '.cache')
const force = process.argv.includes('--force')
const quiet = process.argv.includes('--quiet')

if (force || !isFresh(dist, sourcesHash(root))) {
  const major = Number(process.versions.node.split('.')[0])
  process.exitCode = major >= 24 ? await build() : buildUnderNode24()
}

function buildUnderNode24() {
  const node = join(root, 'node_modules', '.bin', 'node')
  const { status, error } = spawnSync(node, process.argv.slice(1), { stdio: 'inherit' })
  if (error) process.stderr.write(`Node 24 is missing: ${error.message}\nInstall it with: npm run setup\n`)
  return status ?? 1
}

async function build() {
  // Loaded only when there is work: it takes longer than the whole check.
  const { withBuildLock } = await import('./build/lock.ts')
  try {
    await withBuildLock(join(cache, 'build.lock'), buildOnce)
    return 0
  } catch (error) {
    process.stderr.write(`The build failed.\n${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

/** Runs under the lock: another one may have built meanwhile. */
async function buildOnce() {
  const hash = sourcesHash(root)
  if (!force && isFresh(dist, hash)) return
  const startedAtMs = performance.now()
  const fresh = mkdtempSync(join(cache, 'build-'))
  const dropFresh = () => rmSync(fresh, { recursive: true, force: true })
  process.once('exit', dropFresh)
  try {
    const { buildAll } = await import('./build/bundles.ts')
    const { publish } = await import('./build/publish.ts')
    const built = await buildAll(root, fresh)
    const files = publish(fresh, dist)
    // Sources that changed while we built make the next call build again: the hash is the one from before.
    writeStamp(dist, hash, files)
    if (quiet) return
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1)
    process.stderr.write(`Built ${built.join(', ')} in ${seconds} s\n`)
  } finally {
    process.off('exit', dropFresh)
    dropFresh()
  }
}
