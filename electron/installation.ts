/**
 * Where the parts of this installation are. Holds for the sources, for what is built from them, and for an
 * installed program. In the repository `electron/` and `dist/` lie side by side; an installed program has `dist/`
 * twice below its `resources/`, in Electron's archive and for the packed Node:
 *
 *   wireless-dock-plus   wdock   resources/{app.asar, wdock/{node, dist}, demo-guest, systemd}
 */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import about from '../package.json' with { type: 'json' }
import type { Environment } from './platform/paths.ts'

const root = join(import.meta.dirname, '..')
const above = join(root, '..')
/** The `resources/` of an installed program; null in a repository. */
const resources = basename(above) === 'resources' && existsSync(join(above, 'app.asar')) ? above : null

/** The version of this program, as package.json says it. */
export const appVersion: string = about.version

/** The folder of the built page; null where it has not been built. */
export function findPageDir(): string | null {
  const dir = join(root, 'dist', 'renderer')
  return existsSync(join(dir, 'index.html')) ? dir : null
}

/** The folder of the demo guest; null where it has not been built. `WDOCK_DEMO_GUEST` names another one. */
export function findDemoGuestDir(env: Environment): string | null {
  const own = resources === null ? join(root, '.cache', 'demo-guest') : join(resources, 'demo-guest')
  const dir = env.WDOCK_DEMO_GUEST || own
  return existsSync(join(dir, 'manifest.json')) ? dir : null
}

/** Electron's program of an installation; null in a repository. */
export function findWindowProgram(): string | null {
  if (resources === null) return null
  const program = join(resources, '..', 'wireless-dock-plus')
  return existsSync(program) ? program : null
}
