/**
 * Called by electron-builder before it packs for a processor. Promises what electron-builder.yml then takes from
 * `.cache/`: the demo guest, and `wdock` with the Node that runs it and its agent in an installed program. Electron
 * could run them only with its `runAsNode` fuse on, and not without a display. Relies on a built `dist/`; uses the
 * network only for what is missing.
 */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Arch } from 'electron-builder'
import { buildDemoGuest } from '../demo-guest/build.mjs'
import { repository } from '../lib/npm.mjs'

const run = promisify(execFile)
const cache = join(repository, '.cache')
const ownNode = join(repository, 'node_modules/node')

/** @param {{ arch: number }} context */
export default async function beforePack({ arch }) {
  await buildDemoGuest(join(cache, 'demo-guest'))
  const folder = join(cache, 'wdock', `linux-${Arch[arch]}`)
  await bringNode(Arch[arch], folder)
  bringWdock(join(folder, 'dist'))
}

/**
 * Copies what `wdock` runs of `dist/`. electron-builder would take files that it is told to put beside the archive
 * out of the archive; of these both need one.
 */
function bringWdock(folder) {
  const dist = join(repository, 'dist')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const name of readdirSync(dist).filter((each) => /^(wdock|chunk-.*)\.mjs$|^renderer$/.test(each))) {
    cpSync(join(dist, name), join(folder, name), { recursive: true })
  }
}

/** Puts Node for a processor into a folder, in the version that the project runs on. */
async function bringNode(arch, folder) {
  const { version } = JSON.parse(readFileSync(join(ownNode, 'package.json'), 'utf8'))
  const stamp = join(folder, 'node.version')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return
  mkdirSync(folder, { recursive: true })
  const work = mkdtempSync(join(folder, 'new-'))
  try {
    const node = process.arch === arch ? join(ownNode, 'bin/node') : await fetchNode(arch, version, work)
    copyFileSync(node, join(work, 'node'))
    chmodSync(join(work, 'node'), 0o755)
    renameSync(join(work, 'node'), join(folder, 'node'))
    writeFileSync(stamp, version)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The npm package `node` of another processor. @returns {Promise<string>} the program */
async function fetchNode(arch, version, folder) {
  await run('npm', ['pack', `node-linux-${arch}@${version}`, '--silent', '--pack-destination', folder])
  await run('tar', ['-xzf', `node-linux-${arch}-${version}.tgz`, 'package/bin/node'], { cwd: folder })
  return join(folder, 'package/bin/node')
}
