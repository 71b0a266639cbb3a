/** Types of `stamp.mjs`, which is plain JavaScript for speed. */

/** A hash over names and contents of all that the build reads. @param root the repository */
export function sourcesHash(root: string): string
/** True when `dist` was built from exactly these sources and nothing of it is missing. */
export function isFresh(dist: string, hash: string): boolean
/** @param files what the build has made, relative to `dist` */
export function writeStamp(dist: string, hash: string, files: readonly string[]): void
/** The files below a path, relative to `root`, in a fixed order. */
export function filesBelow(root: string, path: string): string[]
