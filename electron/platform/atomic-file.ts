/**
 * State files that are either the old or the new one, whatever happens in between, even a power cut. Promises
 * 0600 files, checked by a schema when read, and coded errors for a full disk and missing rights.
 */
import { randomBytes } from 'node:crypto'
import { open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { z } from 'zod'
import { fail, WdockError } from '../../shared/errors/index.ts'

/** The `code` of a system error, as `ENOENT`; null for anything else. */
export function systemErrorCode(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}

/** A file-system error as a coded one; what is coded already passes through. @returns the error, to be thrown by the caller. */
export function fsFailure(error: unknown, path: string): WdockError {
  if (error instanceof WdockError) return error
  const code = systemErrorCode(error)
  const options = { detail: error instanceof Error ? error.message : String(error), cause: error }
  if (code === 'ENOSPC' || code === 'EDQUOT') return fail('host.disk_full', { path }, options)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return fail('host.no_permission', { path }, options)
  }
  return fail('host.unexpected', {}, options)
}

/**
 * Writes `value` as JSON: a temporary file, fsync, rename over `path`, fsync of the folder. The folder must
 * exist. @throws host.disk_full, host.no_permission; then the old file is as it was.
 */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`)
}

/** As `writeJsonAtomic`, for text or bytes. */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${randomBytes(8).toString('hex')}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncFolder(folder)
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw fsFailure(error, path)
  }
}

/** Makes renames and new names in `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Reads a JSON file. @returns null when it is missing.
 * @throws host.state_unreadable when it is not JSON or does not fit the schema; host.no_permission
 */
export async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema> | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null
    throw fsFailure(error, path)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw fail('host.state_unreadable', { path }, { detail: String(error), cause: error })
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw fail('host.state_unreadable', { path }, { detail: parsed.error.message })
  return parsed.data
}
