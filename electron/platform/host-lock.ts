/**
 * One host a data folder. The lock is a file that names its owner by pid, start time and boot; it is made by
 * `link`, so that it appears complete or not at all. The lock of a dead owner is taken over under a second
 * lock named after the dead one's content: of several that try at once exactly one gets it.
 */
import { createHash, randomBytes } from 'node:crypto'
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import { fsFailure, systemErrorCode } from './atomic-file.ts'
import { bootId, isAlive, processIdentity } from './processes.ts'

const lockContent = z.object({
  pid: z.number().int(),
  startTicks: z.number(),
  bootId: z.string(),
  token: z.string(),
})

/** Gives the lock back; a lock that is no longer ours is left alone. */
export type ReleaseLock = () => Promise<void>

/**
 * Takes the lock at `path`, whose folder must exist.
 * @throws host.already_running with the owner's pid; host.no_permission, host.disk_full
 */
export async function acquireHostLock(path: string): Promise<ReleaseLock> {
  const own = processIdentity(process.pid)
  if (!own) throw fail('host.unexpected', {}, { detail: 'this process is not in /proc' })
  const content = JSON.stringify({ ...own, bootId: bootId(), token: randomBytes(16).toString('hex') })
  try {
    await take(path, content)
  } catch (error) {
    throw fsFailure(error, path)
  }
  return async () => {
    if ((await readIfThere(path)) === content) await unlink(path)
  }
}

async function take(path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`
  await writeFile(temporary, content, { mode: 0o600, flag: 'wx', flush: true })
  try {
    for (;;) {
      if (await tryLink(temporary, path)) return
      const found = await readIfThere(path)
      if (found === null) continue
      const owner = livingOwner(found)
      if (owner !== null) throw fail('host.already_running', { path: dirname(path), pid: owner })
      if (await takeOver(path, found, temporary, content)) return
    }
  } finally {
    await unlink(temporary).catch(() => {})
  }
}

/** Replaces the dead owner's lock; only the holder of the lock named after it may. */
async function takeOver(path: string, dead: string, temporary: string, content: string): Promise<boolean> {
  const name = createHash('sha256').update(dead).digest('hex').slice(0, 16)
  const guard = `${path}.over-${name}`
  await take(guard, content)
  try {
    if ((await readIfThere(path)) !== dead) return false
    await rename(temporary, path)
    return true
  } finally {
    await unlink(guard).catch(() => {})
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false
    throw error
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null
    throw error
  }
}

/** The owner's pid while it lives. What cannot be read was left by a crash: nobody's. */
function livingOwner(content: string): number | null {
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch {
    return null
  }
  const parsed = lockContent.safeParse(value)
  if (!parsed.success || parsed.data.bootId !== bootId()) return null
  return isAlive(parsed.data) ? parsed.data.pid : null
}
