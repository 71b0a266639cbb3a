/**
 * What a Debian package of a packed app would contain. electron-builder leaves the making to fpm, which is fetched
 * from elsewhere: here a stand-in writes down what it was told to pack and makes nothing.
 */
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
const packTimeoutMs = 60_000

export interface DebContents {
  /** Where each part is installed → whether it is there to be packed, and executable. */
  parts: Record<string, 'missing' | 'file' | 'program' | 'folder'>
  /** The program that /usr/bin/wdock runs, and whether the package brings it. */
  wdock: { runs: string; isPacked: boolean }
}

/** @param packed the folder of the `dir` target @param dir for what is written meanwhile */
export async function packDeb(packed: string, dir: string): Promise<DebContents> {
  const told = join(dir, 'fpm-arguments')
  const standIn = join(dir, 'fpm')
  writeFileSync(standIn, `#!/bin/sh\nprintf '%s\\n' "$@" > '${told}'\n`)
  chmodSync(standIn, 0o755)
  const builder = join(root, 'node_modules/electron-builder/cli.js')
  const options = [
    '--linux=deb',
    '--x64',
    '--publish=never',
    `--prepackaged=${packed}`,
    `--config.directories.output=${join(dir, 'deb')}`,
  ]
  const env = { ...process.env, CUSTOM_FPM_PATH: standIn }
  await run(process.execPath, [builder, ...options], { cwd: root, env, timeout: packTimeoutMs })
  return contentsOf(readFileSync(told, 'utf8').split('\n'))
}

/** fpm takes what it packs as `source=target`, at the end of its arguments. */
function contentsOf(told: readonly string[]): DebContents {
  const mapped = told.flatMap((argument) => {
    const [, source, target] = /^([^=]+)=(\/.+)$/.exec(argument) ?? []
    return source === undefined || target === undefined ? [] : [{ source: resolve(root, source), target }]
  })
  const parts = Object.fromEntries(mapped.map(({ source, target }) => [target, kindOf(source)]))
  const launcher = mapped.find(({ target }) => target === '/usr/bin/wdock')
  const script = launcher === undefined ? '' : readFileSync(launcher.source, 'utf8')
  const runs = /^exec '([^']+)'/m.exec(script)?.[1] ?? ''
  const isPacked = mapped.some(
    ({ source, target }) =>
      runs.startsWith(`${target}/`) && kindOf(join(source, runs.slice(target.length))) === 'program',
  )
  return { parts, wdock: { runs, isPacked } }
}

function kindOf(path: string): DebContents['parts'][string] {
  if (!existsSync(path)) return 'missing'
  const found = statSync(path)
  if (found.isDirectory()) return 'folder'
  return (found.mode & 0o111) === 0 ? 'file' : 'program'
}
