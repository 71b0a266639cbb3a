/** Names of objects, checked before anything is touched, so that no name can lead out of a store. Relies on nothing. */
import { fail } from '../../shared/errors/index.ts'

/** Begins with no dot (those are a folder's own), ends with none (Azure and Windows shares drop it). */
const segment = '[a-z0-9](?:[a-z0-9.-]*[a-z0-9-])?'
const wholeName = new RegExp(`^${segment}(?:/${segment})*$`)
const wholePrefix = new RegExp(`^(?:${segment}/)*(?:[a-z0-9][a-z0-9.-]*)?$`)
/** Far below what Azure (1024) and file systems (255 a segment) allow. */
const maxNameLength = 200

/** @throws store.bad_name */
export function checkName(name: string): void {
  if (name.length > maxNameLength || !wholeName.test(name)) throw fail('store.bad_name', { name })
}

/** Any beginning of a name, also the empty one. @throws store.bad_name */
export function checkPrefix(prefix: string): void {
  if (prefix.length > maxNameLength || !wholePrefix.test(prefix)) {
    throw fail('store.bad_name', { name: prefix })
  }
}
