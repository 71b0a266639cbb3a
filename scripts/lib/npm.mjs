/**
 * npm packages by the lock file, and Node 24, which is one of them (the dev-dependency `node`). What npm wrote
 * about its last finished installation (node_modules/.package-lock.json) says whether there is work to do.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { Advice, say } from './progress.mjs'

export const repository = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../..')
/** Node 24, once the packages are installed. */
export const node24 = join(repository, 'node_modules/.bin/node')

const readLock = (path) => JSON.parse(readFileSync(path, 'utf8')).packages

/** @returns {boolean} whether node_modules holds exactly what the lock file names */
export function packagesAreInstalled() {
  try {
    const wanted = readLock(join(repository, 'package-lock.json'))
    const present = readLock(join(repository, 'node_modules/.package-lock.json'))
    return Object.entries(wanted).every(([path, entry]) => {
      if (path === '') return true
      const found = present[path]
      return found === undefined ? entry.optional === true || entry.devOptional === true : same(found, entry)
    })
  } catch {
    return false
  }
}

const same = (found, wanted) => found.version === wanted.version && found.integrity === wanted.integrity

/** @returns {string | null} the version of Node 24 when it runs */
function node24Version() {
  const { status, stdout } = spawnSync(node24, ['--version'], { encoding: 'utf8' })
  return status === 0 && stdout.startsWith('v24.') ? stdout.trim() : null
}

/** PATH and Node without this project's own packages, which npm is about to replace. */
function outsideNode() {
  const own = join(repository, 'node_modules')
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(own))
  const found = folders.map((folder) => join(folder, 'node')).find((path) => existsSync(path))
  const running = existsSync(process.execPath) && !realpathSync(process.execPath).startsWith(own)
  return { path: folders.join(delimiter), node: running ? process.execPath : (found ?? process.execPath) }
}

/** How npm is called: by the one that runs this script, else by the one on PATH. */
function npmCommand(node) {
  const script = process.env.npm_execpath
  return script !== undefined && /npm-cli\.c?js$/.test(script) ? [node, script] : ['npm']
}

/**
 * `npm install --no-save` installs what the lock file names and leaves the file alone. `npm ci` would refuse: it
 * wants the lock file to list the packages of every other platform too, and some registries do not carry them
 * all. That the outcome is the lock file's is checked afterwards.
 */
const INSTALL = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']

function npmInstall() {
  const { path, node } = outsideNode()
  const [program, ...first] = npmCommand(node)
  const { npm_node_execpath: _, NODE: __, ...env } = process.env
  const child = spawn(program, [...first, ...INSTALL], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Neither binary can be fetched on every machine, and neither is needed: Debian's Chromium is.
    env: { ...env, PATH: path, ELECTRON_SKIP_BINARY_DOWNLOAD: '1', PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' },
  })
  let output = ''
  const keep = (chunk) => {
    output += chunk
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  return new Promise((done) => {
    child.on('error', (error) => done({ ok: false, output: error.message }))
    child.on('close', (code) => done({ ok: code === 0, output: firstLines(output) }))
  })
}

/** What npm says first is the reason; what follows is its manual. @param {string} output */
function firstLines(output) {
  return output
    .split('\n')
    .filter((line) => /\S/.test(line.replace('npm error', '')))
    .slice(0, 12)
    .join('\n')
}

/**
 * Installs the npm packages unless they are there.
 * @returns {Promise<boolean>} whether anything was done
 * @throws {Advice} when npm failed or Node 24 does not run
 */
export async function installPackages() {
  if (packagesAreInstalled() && existsSync(node24)) return false
  const startedAtMs = Date.now()
  say('setup', 'installing npm packages (a minute)')
  const { ok, output } = await npmInstall()
  if (!ok)
    throw new Advice(`npm could not install the packages:\n${output}\nIs the npm registry reachable?`, 3)
  if (!packagesAreInstalled()) {
    throw new Advice(
      'What npm installed is not what package-lock.json names; package.json may not fit it.',
      3,
    )
  }
  const version = node24Version()
  if (version === null) {
    throw new Advice(
      'Node 24 was installed as an npm package but does not run on this machine. It needs glibc 2.28.',
      3,
    )
  }
  say(
    'setup',
    `npm packages and Node ${version} installed in ${Math.round((Date.now() - startedAtMs) / 1000)} s`,
  )
  return true
}
