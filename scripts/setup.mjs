/**
 * Installs and builds whatever is missing, on a machine with nothing but git and Node ≥ 20.
 *
 *   node scripts/setup.mjs [--for=demo|headless|start|wdock|test] [--quiet]
 *
 * Promises: takes a second when nothing is missing; asks before it uses sudo; where it can install nothing it
 * lists exactly what to install and exits with 3. All it prints goes to stderr. Needs no npm packages.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildDemoGuest, isBuilt } from './demo-guest/build.mjs'
import { installDebian, packageLists } from './lib/apt.mjs'
import { installPackages, node24, repository } from './lib/npm.mjs'
import { findProgram, missingFor } from './lib/programs.mjs'
import { Advice, report, say } from './lib/progress.mjs'

const PURPOSES = ['demo', 'headless', 'start', 'wdock', 'test']
/** These show or measure the demo guest and are nothing without it; for `start` it is only handy. */
const NEED_GUEST = ['demo', 'headless', 'test']
const guestFolder = join(repository, '.cache/demo-guest')

function checkNode() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20) throw new Advice(`Node 20 or newer is needed; this is ${process.version}.`, 3)
}

async function systemPackages(purpose) {
  const missing = missingFor(purpose)
  const guestNeedsLists =
    NEED_GUEST.includes(purpose) &&
    !isBuilt(guestFolder) &&
    findProgram('apt-get') !== null &&
    packageLists() === 'none'
  if (missing.length > 0 || guestNeedsLists) await installDebian(missing)
  const still = missingFor(purpose)
  if (still.length > 0)
    throw new Advice(`Still missing: ${still.map((need) => need.programs[0]).join(', ')}`, 3)
}

async function demoGuest(purpose) {
  if (purpose === 'wdock' || isBuilt(guestFolder)) return
  if (findProgram('apt-get') === null) {
    const text = 'The demo guest is made of Debian packages; it can be built on Debian and Ubuntu only.'
    if (NEED_GUEST.includes(purpose)) throw new Advice(text, 3)
    return
  }
  try {
    await buildDemoGuest(guestFolder)
  } catch (error) {
    if (NEED_GUEST.includes(purpose)) throw error
    say('setup', 'the demo guest could not be built now; everything else works')
  }
}

/** The build looks by itself whether anything changed. */
function build() {
  const script = join(repository, 'scripts/build.mjs')
  if (!existsSync(script)) return
  const { status } = spawnSync(node24, [script], { cwd: repository, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Advice('The program could not be built; the reason is above.', 1)
}

/**
 * @param {string} purpose one of PURPOSES
 * @param {{ quiet?: boolean }} options quiet: print nothing when nothing is missing
 * @throws {Advice} when a person has to do something first
 */
export async function setup(purpose, options = {}) {
  checkNode()
  if (!PURPOSES.includes(purpose)) throw new Advice(`--for takes one of: ${PURPOSES.join(', ')}`, 2)
  const startedAtMs = Date.now()
  const stop = () => process.exit(130) // by way of 'exit', where temporary folders are removed
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, stop)
  try {
    await systemPackages(purpose)
    await installPackages()
    await demoGuest(purpose)
    build()
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, stop)
  }
  if (!options.quiet)
    say('setup', `everything is in place (${((Date.now() - startedAtMs) / 1000).toFixed(1)} s)`)
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const purpose =
    process.argv.find((argument) => argument.startsWith('--for='))?.slice('--for='.length) ?? 'test'
  await setup(purpose, { quiet: process.argv.includes('--quiet') }).catch(report)
}
