/**
 * Builds the demo guest without root: `node scripts/demo-guest/build.mjs [outDir]` (default .cache/demo-guest).
 * Promises: vmlinuz, initrd.gz, disk.qcow2, manifest.json and copyright.txt in outDir, replaced all together;
 * nothing is done when they come from the present recipe. Relies on Debian's package lists, dpkg-deb, mke2fs, qemu-img, Node 20.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { findProgram } from '../lib/programs.mjs'
import { Advice, report, say } from '../lib/progress.mjs'
import { cpioArchive } from './cpio.mjs'
import { copyrightOf, dependencyOf, download, firstFolder, unpack, versionsOf } from './debian.mjs'
import { collectModules } from './modules.mjs'

const run = promisify(execFile)
const here = dirname(fileURLToPath(import.meta.url))
const repository = resolve(here, '../..')
const recipeFolder = join(repository, 'assets/demo-guest')

/** The command line for `-append`. Logs go to the first serial port, the screen is left to the witness. */
export const KERNEL_COMMAND_LINE =
  'console=ttyS0 quiet loglevel=4 panic=5 mitigations=off random.trust_cpu=on no_timer_check no5lvl cryptomgr.notests'

const DISK_BYTES = 2 * 1024 ** 3
/** Everything that could differ between two builds of the same disk is fixed, so that docks hold the same layer. */
const DISK_UUID = '77646f63-6b2b-4d65-8d6f-677565737401'
const DISK_TIME = '1704067200'

/** @param {string} folder @returns {string[]} */
function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path) : [path]
  })
}

/** A hash over everything in the repository that decides what is built. */
export function recipeHash() {
  const files = [...filesBelow(recipeFolder), ...filesBelow(here)].filter(
    (file) => !/\.md$|\.test\.ts$/.test(file),
  )
  const hash = createHash('sha256')
  for (const file of files.sort())
    hash.update(`${file.slice(repository.length)}\0`).update(readFileSync(file))
  return hash.digest('hex')
}

/** @param {string} outDir @returns {boolean} whether outDir holds a whole guest of the present recipe */
export function isBuilt(outDir) {
  try {
    const manifest = JSON.parse(readFileSync(join(outDir, 'manifest.json'), 'utf8'))
    const files = Object.entries(manifest.sizes)
    return (
      manifest.recipe === recipeHash() &&
      files.every(([name, size]) => statSync(join(outDir, name)).size === size)
    )
  } catch {
    return false
  }
}

/** @param {string} name @param {string} packageName @returns {string} its full path */
function systemProgram(name, packageName) {
  const path = findProgram(name)
  if (path === null)
    throw new Advice(`${name} is missing. Install it:\n  sudo apt-get install ${packageName}`, 3)
  return path
}

async function fetchPackages(work) {
  const kernel = await dependencyOf('linux-image-cloud-amd64', 'linux-image-')
  const tools = ['busybox-static', 'tcc', 'musl-dev']
  say('demo guest', 'downloading the kernel and busybox from Debian (about 29 MB)')
  const files = await download(join(work, 'packages'), [kernel, ...tools])
  const root = join(work, 'root')
  await unpack(
    root,
    files.map((file) => join(work, 'packages', file)),
  )
  return { root, packages: versionsOf(files) }
}

/** The small C compiler and C library are used where they were unpacked; nothing is installed. */
async function compileWitness(work, root) {
  const compiler = join(root, 'usr/lib/x86_64-linux-gnu/tcc')
  const library = join(root, 'usr/lib/x86_64-linux-musl')
  const sources = (await readdir(join(recipeFolder, 'witness'))).filter((name) => name.endsWith('.c')).sort()
  const out = join(work, 'witness')
  await run(join(root, 'usr/bin/tcc'), [
    ...['-static', '-nostdinc', '-nostdlib', '-o', out],
    ...['-I', join(compiler, 'include'), '-I', join(root, 'usr/include/x86_64-linux-musl')],
    ...sources.map((name) => join(recipeFolder, 'witness', name)),
    ...['crt1.o', 'crti.o', 'libc.a'].map((name) => join(library, name)),
    join(compiler, 'libtcc1.a'),
    ...['libc.a', 'crtn.o'].map((name) => join(library, name)),
  ])
  return readFile(out)
}

async function buildInitrd(work, root) {
  const modulesRoot = await firstFolder(root, ['lib/modules', 'usr/lib/modules'])
  const [kernelVersion] = await readdir(modulesRoot)
  const busybox = join(await firstFolder(root, ['bin', 'usr/bin']), 'busybox')
  const program = (await stat(busybox).catch(() => null)) ? busybox : join(root, 'usr/bin/busybox')
  const modules = await collectModules(join(modulesRoot, kernelVersion), program)
  const init = await readFile(join(recipeFolder, 'init'), 'utf8')
  const order = modules.map((module) => module.name).join(' ')
  const folders = ['bin', 'dev', 'disk', 'modules', 'proc', 'sys', 'tmp'].map((path) => ({
    path,
    kind: 'folder',
  }))
  const file = (path, content, mode = 0o755) => ({ path, kind: 'file', mode, content })
  const archive = cpioArchive([
    ...folders,
    { path: 'dev/console', kind: 'device', mode: 0o600, major: 5, minor: 1 },
    file('bin/busybox', await readFile(program)),
    file('bin/witness', await compileWitness(work, root)),
    ...modules.map((module) => file(`modules/${module.name}.ko`, module.content, 0o644)),
    file('init', Buffer.from(init.replace('in @MODULES@;', `in ${order};`))),
  ])
  await writeFile(join(work, 'out/initrd.gz'), gzipSync(archive, { level: 9 }))
  await copyFile(join(root, 'boot', `vmlinuz-${kernelVersion}`), join(work, 'out/vmlinuz'))
}

async function buildDisk(work) {
  const content = join(work, 'disk')
  const raw = join(work, 'disk.raw')
  await mkdir(content)
  const mke2fs = systemProgram('mke2fs', 'e2fsprogs')
  const fixed = `root_owner=0:0,hash_seed=${DISK_UUID},lazy_itable_init=1,lazy_journal_init=1`
  await run(
    mke2fs,
    [
      '-q',
      '-t',
      'ext4',
      '-m',
      '0',
      '-U',
      DISK_UUID,
      '-E',
      fixed,
      '-J',
      'size=8',
      '-d',
      content,
      raw,
      `${DISK_BYTES / 1024}k`,
    ],
    {
      env: { ...process.env, E2FSPROGS_FAKE_TIME: DISK_TIME, LC_ALL: 'C' },
    },
  )
  const disk = join(work, 'out/disk.qcow2')
  await run(systemProgram('qemu-img', 'qemu-utils'), ['convert', '-f', 'raw', '-O', 'qcow2', raw, disk])
  await chmod(disk, 0o444)
}

async function writeManifest(folder, packages) {
  const recipe = recipeHash()
  const names = ['vmlinuz', 'initrd.gz', 'disk.qcow2']
  const sizes = {}
  for (const name of names) sizes[name] = (await stat(join(folder, name))).size
  const version = createHash('sha256')
    .update(recipe)
    .update(JSON.stringify(packages))
    .digest('hex')
    .slice(0, 16)
  const [kernel, initrd, disk] = names
  const manifest = {
    version,
    recipe,
    kernel,
    initrd,
    disk,
    cmdline: KERNEL_COMMAND_LINE,
    diskBytes: DISK_BYTES,
    sizes,
    packages,
  }
  await writeFile(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

/** The finished folder takes the place of the old one in two renames; programs that have the old files open keep them. */
async function replaceFolder(finished, outDir) {
  const old = `${outDir}.old-${process.pid}`
  await rename(outDir, old).catch(() => {})
  await rename(finished, outDir)
  await rm(old, { recursive: true, force: true })
}

/**
 * Builds the guest into outDir unless it is there already.
 * @param {string} outDir @returns {Promise<boolean>} whether anything was built
 */
export async function buildDemoGuest(outDir) {
  if (isBuilt(outDir)) return false
  if (process.arch !== 'x64') throw new Advice('The demo guest is built on x86-64 machines only.', 3)
  const started = Date.now()
  await mkdir(dirname(outDir), { recursive: true })
  const work = await mkdtemp(join(tmpdir(), 'wdock-demo-guest-'))
  const finished = `${outDir}.new-${process.pid}`
  const drop = () => {
    for (const folder of [work, finished]) rmSync(folder, { recursive: true, force: true })
  }
  process.once('exit', drop)
  try {
    await mkdir(join(work, 'out'))
    const { root, packages } = await fetchPackages(work)
    await buildInitrd(work, root)
    await buildDisk(work)
    await writeManifest(join(work, 'out'), packages)
    await writeFile(join(work, 'out/copyright.txt'), await copyrightOf(root, packages))
    await mkdir(finished, { recursive: true })
    for (const name of await readdir(join(work, 'out')))
      await copyFile(join(work, 'out', name), join(finished, name))
    await replaceFolder(finished, outDir)
  } finally {
    process.off('exit', drop)
    drop()
  }
  say('demo guest', `built in ${((Date.now() - started) / 1000).toFixed(1)} s`)
  return true
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await buildDemoGuest(resolve(process.argv[2] ?? join(repository, '.cache/demo-guest'))).catch(report)
}
