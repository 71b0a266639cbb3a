/** Calls of the host on a person's behalf: pending meanwhile, and a failure told where the person looks. */
import type { ErrorShape } from '../../shared/errors/index.ts'
import { toErrorShape } from '../client/errors.ts'
import { showError } from './toasts.ts'
import { setPending } from './ui-store.ts'

/** Null when it went well. */
export type Outcome = ErrorShape | null

/** Calls the host; `key` is pending meanwhile. The failure is the caller's to tell. */
export async function attempt(key: string, call: () => Promise<unknown>): Promise<Outcome> {
  setPending(key, true)
  try {
    await call()
    return null
  } catch (thrown) {
    return toErrorShape(thrown)
  } finally {
    setPending(key, false)
  }
}

/** The same for a call whose answer is wanted. */
export async function attemptFor<T extends object>(
  key: string,
  call: () => Promise<T>,
): Promise<T | { error: ErrorShape }> {
  let answer: T | null = null
  const error = await attempt(key, async () => {
    answer = await call()
  })
  return error === null && answer !== null ? answer : { error: error ?? toErrorShape(null) }
}

/** The same for a call whose failure has no place of its own on the page. @returns whether it went well */
export async function attemptAloud(key: string, call: () => Promise<unknown>): Promise<boolean> {
  const error = await attempt(key, call)
  if (error !== null) showError(error)
  return error === null
}
