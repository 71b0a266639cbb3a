/** The names of objects in a vault, as in FORMAT.md, "Objects". Relies on nothing. */

/** Where each kind of object lies; a sweep leaves what it does not know. */
export const prefixes = {
  packs: 'packs/',
  index: 'index/',
  checkpoints: 'checkpoints/',
  summaries: 'summaries/',
  labels: 'labels/',
  warm: 'warm/',
  verified: 'verified/',
  uploads: 'uploads/',
  sweeps: 'sweeps/',
  doomed: 'doomed/',
} as const
export type Prefix = (typeof prefixes)[keyof typeof prefixes]

/** 16 bytes in lower-case hexadecimal digits. */
const idPattern = /^[0-9a-f]{32}$/

export const idBytes = 16

export function isObjectId(text: string): boolean {
  return idPattern.test(text)
}

/** The id in an object's name; null when the name is none of this kind. */
export function idIn(prefix: Prefix, name: string): string | null {
  if (!name.startsWith(prefix)) return null
  const id = name.slice(prefix.length)
  return isObjectId(id) ? id : null
}
