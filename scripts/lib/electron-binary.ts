/** Where Electron's own binary is, which its npm package fetches from elsewhere and many machines cannot reach. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The program as Electron's npm package would find it; null where it was never fetched. */
export function findElectron(): string | null {
  const folder = join(import.meta.dirname, '..', '..', 'node_modules', 'electron')
  const pathFile = join(folder, 'path.txt')
  const name = existsSync(pathFile) ? readFileSync(pathFile, 'utf8').trim() : 'electron'
  const program = join(process.env.ELECTRON_OVERRIDE_DIST_PATH || join(folder, 'dist'), name)
  return existsSync(program) ? program : null
}
