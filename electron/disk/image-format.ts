/**
 * What kind of disk image a file is, from its first bytes. Pure. The kind is decided once, when a person brings
 * a file in; from then on every image is our own qcow2 and opened as exactly that. A format that is guessed at
 * each start would let a guest on a raw disk write a qcow2 header whose backing file is one of the host's, and
 * read that file at its next start (CVE-2008-2004 and its relatives).
 */

export type ImageFormat = 'qcow2' | 'raw'

/** How many bytes `sniffFormat` wants to see. */
export const sniffBytes = 68 * 1024

export type Sniffed =
  | { kind: 'image'; format: ImageFormat }
  /** A disk image of a kind that is not read here. */
  | { kind: 'foreign'; name: string }
  | { kind: 'unknown' }

interface Mark {
  offset: number
  text: string
}

const foreignMarks: readonly (Mark & { name: string })[] = [
  { offset: 0, text: 'KDMV', name: 'VMDK' },
  { offset: 0, text: 'COWD', name: 'VMDK' },
  { offset: 0, text: '# Disk DescriptorFile', name: 'VMDK' },
  { offset: 0, text: 'vhdxfile', name: 'VHDX' },
  { offset: 0, text: 'conectix', name: 'VHD' },
  { offset: 0, text: 'QED\0', name: 'QED' },
  { offset: 0, text: 'WithoutFreeSpace', name: 'Parallels' },
  { offset: 0, text: 'WithouFreSpacExt', name: 'Parallels' },
  { offset: 0x40, text: '\x7f\x10\xda\xbe', name: 'VDI' },
]

/** What is found at the start of a raw disk: a partition table, a file system, a volume. */
const rawMarks: readonly Mark[] = [
  { offset: 510, text: '\x55\xaa' },
  { offset: 512, text: 'EFI PART' },
  { offset: 512, text: 'LABELONE' },
  { offset: 1080, text: '\x53\xef' },
  { offset: 0, text: 'XFSB' },
  { offset: 0, text: 'LUKS\xba\xbe' },
  { offset: 0x8001, text: 'CD001' },
  { offset: 0x10040, text: '_BHRfS_M' },
]

/** @param head the first `sniffBytes` bytes of the file, fewer when it is shorter */
export function sniffFormat(head: Uint8Array): Sniffed {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
  const has = (mark: Mark): boolean =>
    bytes.toString('latin1', mark.offset, mark.offset + mark.text.length) === mark.text
  if (has({ offset: 0, text: 'QFI\xfb' })) {
    const version = bytes.length >= 8 ? bytes.readUInt32BE(4) : 0
    if (version === 2 || version === 3) return { kind: 'image', format: 'qcow2' }
    return { kind: 'foreign', name: `QCOW version ${version}` }
  }
  const foreign = foreignMarks.find(has)
  if (foreign) return { kind: 'foreign', name: foreign.name }
  if (rawMarks.some(has) || isBlank(bytes)) return { kind: 'image', format: 'raw' }
  return { kind: 'unknown' }
}

/** A new raw disk holds nothing but zeros. */
function isBlank(bytes: Buffer): boolean {
  return bytes.length >= 512 && bytes.every((byte) => byte === 0)
}
