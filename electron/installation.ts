/**
 * Where the parts of this installation are. Holds for the sources as well as for what is built from them:
 * `electron/` and `dist/` lie side by side.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import about from '../package.json' with { type: 'json' }
import type { Environment } from './platform/paths.ts'

const root = join(import.meta.dirname, '..')

/** The version of this program, as package.json says it. */
export const appVersion: string = about.version

/** The folder of the built page; null where it has not been built. */
export function findPageDir(): string | null {
  const dir = join(root, 'dist', 'renderer')
  return existsSync(join(dir, 'index.html')) ? dir : null
}

/** The folder of the demo guest; null where it has not been built. `WDOCK_DEMO_GUEST` names another one. */
export function findDemoGuestDir(env: Environment): string | null {
  const dir = env.WDOCK_DEMO_GUEST || join(root, '.cache', 'demo-guest')
  return existsSync(join(dir, 'manifest.json')) ? dir : null
}
