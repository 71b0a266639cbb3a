/** One build at a time. The lock names its owner's pid; that of a dead owner is taken over. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { systemErrorCode } from '../../electron/platform/atomic-file.ts'

const timeoutMs = 5 * 60_000

/** Runs `work` while holding the lock at `path`, after whoever holds it now. */
export async function withBuildLock(path: string, work: () => Promise<void>): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  const own = `${path}.${process.pid}`
  writeFileSync(own, String(process.pid))
  const release = () => rmSync(path, { force: true })
  try {
    await take(path, own)
    process.once('exit', release)
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))
    await work()
  } finally {
    rmSync(own, { force: true })
    if (process.listeners('exit').includes(release)) {
      process.off('exit', release)
      release()
    }
  }
}

async function take(path: string, own: string): Promise<void> {
  const end = performance.now() + timeoutMs
  for (;;) {
    try {
      linkSync(own, path)
      return
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error
    }
    if (!ownerLives(path)) {
      dropDeadLock(path)
      continue
    }
    if (performance.now() > end) throw new Error(`Another build holds ${path} for more than 5 minutes.`)
    await wait(50)
  }
}

function ownerLives(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0)
    return true
  } catch (error) {
    return systemErrorCode(error) === 'EPERM'
  }
}

/** Of several that find the lock dead, only one can rename it away; it must still be the dead one. */
function dropDeadLock(path: string): void {
  const aside = `${path}.dead-${process.pid}`
  try {
    renameSync(path, aside)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    return
  }
  // Another one was quicker and this is its living lock: give it back.
  if (ownerLives(aside)) {
    try {
      linkSync(aside, path)
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error
    }
  }
  rmSync(aside, { force: true })
}
