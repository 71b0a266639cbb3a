/**
 * Installs Debian packages: directly as root, by sudo after a question otherwise. Where neither is possible it
 * says exactly what to install and installs nothing (Advice with exit code 3).
 */
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { findProgram } from './programs.mjs'
import { Advice, say } from './progress.mjs'

const LISTS = '/var/lib/apt/lists'
const LISTS_OLD_MS = 3 * 24 * 3600 * 1000
const PROGRESS_EVERY_MS = 5_000
const QUIET = ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0']

/** @returns {'fresh' | 'old' | 'none'} the state of this machine's package lists */
export function packageLists() {
  let newestMs = 0
  try {
    for (const name of readdirSync(LISTS)) {
      if (/_Packages(\.|$)/.test(name)) newestMs = Math.max(newestMs, statSync(LISTS).mtimeMs)
    }
  } catch {
    return 'none'
  }
  if (newestMs === 0) return 'none'
  return Date.now() - newestMs < LISTS_OLD_MS ? 'fresh' : 'old'
}

/** @param {string[]} packages */
const installArguments = (packages) => ['install', '-y', '--no-install-recommends', ...packages]

/** How a person installs what is missing, whatever the distribution. @param {import('./programs.mjs').Need[]} needs */
export function installAdvice(needs) {
  const names = (manager) => needs.map((need) => need[manager]).join(' ')
  const list = needs.map((need) => `  ${need.apt}: ${need.why}`)
  return [
    'These programs are missing:',
    ...list,
    'Install them and run this again:',
    `  Debian, Ubuntu:  sudo apt-get update && sudo apt-get ${installArguments([names('apt')]).join(' ')}`,
    `  Fedora:          sudo dnf install ${names('dnf')}`,
    `  Arch:            sudo pacman -S ${names('pacman')}`,
  ].join('\n')
}

/** Turns apt's many lines into one short line every few seconds. */
function progressOf(topic) {
  const done = { Get: 0, Unpacking: 0, 'Setting up': 0 }
  let total = 0
  let saidAtMs = Date.now()
  return (line) => {
    total = Number(/(\d+) newly installed/.exec(line)?.[1] ?? total)
    const kind = Object.keys(done).find((each) => line.startsWith(each))
    if (kind === undefined || total === 0) return
    done[kind] += 1
    if (Date.now() - saidAtMs < PROGRESS_EVERY_MS) return
    saidAtMs = Date.now()
    say(
      topic,
      `${total} packages: ${done.Get} fetched, ${done.Unpacking} unpacked, ${done['Setting up']} set up`,
    )
  }
}

/** Runs apt-get, quietly; its last lines are told when it fails. @returns {Promise<{ok: boolean, tail: string}>} */
function aptGet(prefix, args) {
  const [program, ...rest] = [...prefix, 'apt-get', ...QUIET, ...args]
  const child = spawn(program, rest, {
    stdio: ['inherit', 'pipe', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
  })
  const progress = progressOf('setup')
  const tail = []
  const take = (chunk) => {
    for (const line of String(chunk).split('\n')) {
      progress(line)
      if (line.trim() !== '') tail.push(line)
    }
    tail.splice(0, tail.length - 15)
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ ok: false, tail: error.message }))
    child.on('close', (code) => resolve({ ok: code === 0, tail: tail.join('\n') }))
  })
}

/** @param {string} commands @returns {Promise<boolean>} */
async function mayUseSudo(commands) {
  process.stderr.write(`This needs administrator rights:\n${commands}\n`)
  const asked = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asked.question('Run it now? [Y/n] ')
    return /^(y(es)?)?$/i.test(answer.trim())
  } finally {
    asked.close()
  }
}

/** The words to put before apt-get; throws Advice where this user cannot install anything. */
async function rights(commands, advice) {
  if (process.getuid?.() === 0) return []
  const sudo = findProgram('sudo')
  if (sudo === null || !process.stdin.isTTY) throw new Advice(advice, 3)
  const shown = commands.map((args) => `  sudo apt-get ${args.join(' ')}`).join('\n')
  if (!(await mayUseSudo(shown))) throw new Advice(advice, 3)
  spawnSync(sudo, ['-v'], { stdio: 'inherit' }) // the password is asked here, not in the middle of apt's output
  return [sudo, 'DEBIAN_FRONTEND=noninteractive']
}

/**
 * Installs what is missing and refreshes the package lists where they are missing or old.
 * @param {import('./programs.mjs').Need[]} needs may be empty: then only the lists are refreshed
 * @throws {Advice} when nothing can be installed here, or apt failed
 */
export async function installDebian(needs) {
  const packages = needs.map((need) => need.apt)
  const advice =
    needs.length > 0
      ? installAdvice(needs)
      : 'The package lists are missing. Fetch them:\n  sudo apt-get update'
  if (findProgram('apt-get') === null) throw new Advice(advice, 3)
  const update = packageLists() === 'fresh' ? [] : [['update']]
  const install = packages.length > 0 ? [installArguments(packages)] : []
  const prefix = await rights([...update, ...install], advice)
  const startedAtMs = Date.now()
  if (packages.length > 0) say('setup', `installing ${packages.join(', ')} (a minute or two)`)
  if (update.length > 0) await refresh(prefix)
  if (packages.length === 0) return
  let outcome = await aptGet(prefix, installArguments(packages))
  if (!outcome.ok && update.length === 0) {
    await refresh(prefix)
    outcome = await aptGet(prefix, installArguments(packages))
  }
  if (!outcome.ok)
    throw new Advice(`apt-get could not install the packages:\n${outcome.tail}\n\n${advice}`, 3)
  say('setup', `installed in ${Math.round((Date.now() - startedAtMs) / 1000)} s`)
}

/** @param {string[]} prefix */
async function refresh(prefix) {
  say('setup', 'refreshing the package lists')
  const outcome = await aptGet(prefix, ['update'])
  if (!outcome.ok) throw new Advice(`apt-get update failed:\n${outcome.tail}`, 3)
}
