/** Builds what the tests run, which takes no time when it is fresh. */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'

export default function buildFirst(): void {
  const root = resolve(import.meta.dirname, '..')
  execFileSync(process.execPath, ['scripts/build.mjs', '--quiet'], { cwd: root, stdio: 'inherit' })
}
