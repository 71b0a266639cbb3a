/**
 * Builds everything into `dist/`: the page, the Electron main and preload, the headless host and the command
 * line. Promises: nothing is done, in under 150 ms, while sources and configuration are what they were;
 * `dist/` is only ever replaced file by file, so that a program that starts meanwhile finds whole files; of
 * several builds at once one works and the others wait and find it done. Relies on Node 24 and installed
 * packages.
 *
 *   node scripts/build.mjs [--force] [--quiet]
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isFresh, sourcesHash, writeStamp } from './build/stamp.ts'

const root = resolve(import.meta.dirname, '..')
// Vite reads its configuration from the point of view of the working directory.
process.chdir(root)
const dist = join(root, 'dist')
const force = process.argv.includes('--force')
const quiet = process.argv.includes('--quiet')

async function buildOnce() {
  const hash = sourcesHash(root)
  if (!force && isFresh(dist, hash)) return
  const startedAtMs = performance.now()
  const cache = join(root, '.cache')
  mkdirSync(cache, { recursive: true })
  const fresh = mkdtempSync(join(cache, 'build-'))
  const dropFresh = () => rmSync(fresh, { recursive: true, force: true })
  process.once('exit', dropFresh)
  try {
    // Loaded only when there is work: it takes longer than the whole check.
    const { buildAll } = await import('./build/bundles.ts')
    const { publish } = await import('./build/publish.ts')
    const built = await buildAll(root, fresh)
    const files = publish(fresh, dist)
    // Sources that changed while we built make the next call build again: the hash is the one from before.
    writeStamp(dist, hash, files)
    if (!quiet) {
      const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1)
      process.stderr.write(`Built ${built.join(', ')} in ${seconds} s\n`)
    }
  } finally {
    process.off('exit', dropFresh)
    dropFresh()
  }
}

if (force || !isFresh(dist, sourcesHash(root))) {
  try {
    const { withBuildLock } = await import('./build/lock.ts')
    await withBuildLock(join(root, '.cache', 'build.lock'), buildOnce)
  } catch (error) {
    process.stderr.write(`The build failed.\n${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
