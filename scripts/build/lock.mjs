/** One build at a time. The lock names its owner's pid; that of a dead owner is taken over. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

const timeoutMs = 5 * 60_000

/** Runs `work` while holding the lock at `path`, after whoever holds it now. */
export async function withBuildLock(path, work) {
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

async function take(path, own) {
  const end = performance.now() + timeoutMs
  for (;;) {
    try {
      linkSync(own, path)
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (!ownerLives(path)) {
      dropDeadLock(path)
      continue
    }
    if (performance.now() > end) throw new Error(`Another build holds ${path} for more than 5 minutes.`)
    await wait(50)
  }
}

function ownerLives(path) {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Of several that find the lock dead, only one can rename it away; it must still be the dead one. */
function dropDeadLock(path) {
  const aside = `${path}.dead-${process.pid}`
  try {
    renameSync(path, aside)
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    return
  }
  // Another one was quicker and this is its living lock: give it back.
  if (ownerLives(aside)) {
    try {
      linkSync(aside, path)
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
  }
  rmSync(aside, { force: true })
}
