/**
 * Kernel modules for the initramfs, in an order in which `insmod` can load them one by one. What a kernel
 * has built in is left out; compressed ones are unpacked with the guest's own busybox.
 */
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** virtio_pci needs its two halves before it, though it names only one on some kernels. */
const WANTED = [
  ['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci'],
  ['virtio_blk', 'crc32c_generic', 'ext4', 'virtio_net', 'virtio_mem', 'virtio_balloon', 'virtio_rng'],
  ['virtio_console'],
  ['button', 'evdev'],
].flat()

/** @param {string} file */
const moduleName = (file) =>
  basename(file)
    .replace(/\.ko(\.[a-z0-9]+)?$/, '')
    .replaceAll('-', '_')

/** @param {string} file @param {string} busybox */
async function load(file, busybox) {
  if (!/\.(xz|gz)$/.test(file)) return readFile(file)
  const applet = file.endsWith('.xz') ? 'unxz' : 'gunzip'
  const { stdout } = await run(busybox, [applet, '-c', file], { encoding: 'buffer', maxBuffer: 2 ** 26 })
  return stdout
}

/** The `depends=` entry of a module's .modinfo section. @param {Buffer} content */
function dependencies(content) {
  const text = content.toString('latin1')
  const found = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? ''
  return found.split(',').filter((name) => name !== '')
}

/**
 * @param {string} folder lib/modules/<version> of the unpacked kernel package
 * @param {string} busybox a program that runs on this machine
 * @returns {Promise<{ name: string, content: Buffer }[]>} in load order
 */
export async function collectModules(folder, busybox) {
  const files = (await readdir(folder, { recursive: true })).filter((file) => /\.ko(\.|$)/.test(file))
  const byName = new Map(files.map((file) => [moduleName(file), join(folder, file)]))
  const builtin = new Set(
    (await readFile(join(folder, 'modules.builtin'), 'utf8')).split('\n').map(moduleName),
  )
  const collected = new Map()
  /** @param {string} name */
  const add = async (name) => {
    if (collected.has(name) || builtin.has(name)) return
    const file = byName.get(name)
    if (file === undefined)
      throw new Error(`the kernel has no module ${name}, neither as a file nor built in`)
    const content = await load(file, busybox)
    for (const needed of dependencies(content)) await add(needed.replaceAll('-', '_'))
    collected.set(name, { name, content })
  }
  for (const name of WANTED) await add(name)
  return [...collected.values()]
}
