/**
 * Writes an initramfs archive ("newc" cpio, see the kernel's Documentation/driver-api/early-userspace/
 * buffer-format.rst) without the cpio program and without root: device nodes are only bytes in it.
 */

const TYPES = { folder: 0o040000, file: 0o100000, device: 0o020000 }

/**
 * @typedef {{ path: string, kind: 'folder' }
 *   | { path: string, kind: 'file', mode: number, content: Buffer }
 *   | { path: string, kind: 'device', mode: number, major: number, minor: number }} Entry
 */

/** @param {number} value */
const hex = (value) => value.toString(16).padStart(8, '0')

/** @param {Buffer[]} parts */
function padded(parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([...parts, Buffer.alloc((4 - (length % 4)) % 4)])
}

/** @param {number} inode @param {Entry} entry */
function encode(inode, entry) {
  const content = entry.kind === 'file' ? entry.content : Buffer.alloc(0)
  const mode = TYPES[entry.kind] | (entry.kind === 'folder' ? 0o755 : entry.mode)
  const [major, minor] = entry.kind === 'device' ? [entry.major, entry.minor] : [0, 0]
  const name = Buffer.from(`${entry.path}\0`)
  const links = entry.kind === 'folder' ? 2 : 1
  // inode mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, major, minor, name.length, 0]
  const header = Buffer.from(`070701${fields.map(hex).join('')}`)
  return Buffer.concat([padded([header, name]), padded([content])])
}

/** @param {Entry[]} entries @returns {Buffer} the archive; the same entries always give the same bytes */
export function cpioArchive(entries) {
  const end = { path: 'TRAILER!!!', kind: 'file', mode: 0, content: Buffer.alloc(0) }
  return Buffer.concat([...entries.map((entry, i) => encode(i + 1, entry)), encode(0, end)])
}
