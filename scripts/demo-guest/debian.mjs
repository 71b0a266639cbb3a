/**
 * Debian packages without root and without installing anything: found through the package lists that the
 * machine has, downloaded into a folder, unpacked there.
 */
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Advice } from '../lib/progress.mjs'

const run = promisify(execFile)
const env = { ...process.env, LC_ALL: 'C' }

/** @param {unknown} cause */
function unreachable(cause) {
  const said = String(/** @type {{stderr?: string}} */ (cause).stderr ?? cause).trim()
  return new Advice(
    `The demo guest is made of Debian packages, and apt could not fetch them:\n${said}\n` +
      'Refresh the package lists and try again:\n  sudo apt-get update',
    3,
  )
}

/** The package that a metapackage stands for now, e.g. linux-image-cloud-amd64 → linux-image-6.1.0-56-cloud-amd64. */
export async function dependencyOf(metaPackage, prefix) {
  const { stdout } = await run('apt-cache', ['depends', '--no-recommends', '--no-suggests', metaPackage], {
    env,
  }).catch((cause) => {
    throw unreachable(cause)
  })
  const found = stdout.match(/^\s*Depends:\s*(\S+)/gm) ?? []
  const name = found.map((line) => line.split(':')[1]?.trim()).find((each) => each?.startsWith(prefix))
  if (name === undefined)
    throw unreachable(new Error(`${metaPackage} depends on no package named ${prefix}…`))
  return name
}

/** Downloads packages into `folder`; resolves to their file names, in no particular order. */
export async function download(folder, packages) {
  await mkdir(folder, { recursive: true })
  await run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...packages], {
    cwd: folder,
    env,
    maxBuffer: 2 ** 24,
  }).catch((cause) => {
    throw unreachable(cause)
  })
  return (await readdir(folder)).filter((name) => name.endsWith('.deb'))
}

/** Unpacks package files side by side into `folder`. */
export async function unpack(folder, packageFiles) {
  await mkdir(folder, { recursive: true })
  await Promise.all(packageFiles.map((file) => run('dpkg-deb', ['-x', file, folder], { env })))
}

/** name → version, read from names like `tcc_0.9.27%2bgit_amd64.deb`. */
export function versionsOf(fileNames) {
  const pairs = fileNames.map((file) => file.split('_').slice(0, 2).map(decodeURIComponent))
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What whoever passes the guest on must pass on with it. @param {Record<string, string>} packages name → version */
export async function copyrightOf(root, packages) {
  const parts = [
    'The demo guest is made of Debian packages. Their sources: apt-get source NAME=VERSION, or\n' +
      'https://snapshot.debian.org/. The terms of each, as Debian gives them:\n',
  ]
  for (const [name, version] of Object.entries(packages)) {
    const terms = await readFile(join(root, 'usr/share/doc', name, 'copyright'), 'utf8')
    parts.push(`\n======== ${name} ${version} ========\n\n${terms}`)
  }
  return parts.join('')
}

/** Joins below the first of several roots that has the path; Debian moved /lib to /usr/lib. */
export async function firstFolder(root, candidates) {
  for (const candidate of candidates) {
    const names = await readdir(join(root, candidate)).catch(() => [])
    if (names.length > 0) return join(root, candidate)
  }
  throw new Error(`none of ${candidates.join(', ')} is in the unpacked packages`)
}
