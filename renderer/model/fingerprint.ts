/** A dock's identity in a form that two people can read to each other. Pure. */

/** The first sixteen characters in groups of four. */
export function shortFingerprint(dockId: string): string {
  return (dockId.slice(0, 16).match(/.{1,4}/g) ?? []).join(' ')
}
