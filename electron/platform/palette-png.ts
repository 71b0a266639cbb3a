/**
 * Makes the PNG of a screen smaller where it has few colours, as a text console has: a palette and a few bits a point take
 * half of what whole colours take. Promises the same picture point for point, and the same bytes where it cannot be
 * made smaller or is not as QEMU writes it: 8 bits a colour, RGB, not interlaced, in one image.
 *
 * After the PNG specification, third edition: chunks (5), filters (9), palettes (11.2.2).
 */
import { crc32, deflateSync, inflateSync } from 'node:zlib'

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const headerBytes = 13
const pointBytes = 3
const truecolour = 2
const indexed = 3
/** No text console has more; bounds memory, and the time for which a thread does nothing else: about 0.1 s. */
const mostPoints = 1024 * 768
const mostColours = 256

interface Image {
  width: number
  height: number
  /** Rows of points without anything between them. */
  rgb: Buffer
}

/** @returns the same picture in fewer bytes, or `png` itself */
export function withPalette(png: Buffer): Buffer {
  const image = decode(png)
  const smaller = image === null ? null : encode(image)
  return smaller !== null && smaller.length < png.length ? smaller : png
}

/** @returns null for what QEMU does not write */
function decode(png: Buffer): Image | null {
  const chunks = chunksOf(png)
  const header = chunks?.[0]
  if (!chunks || header?.type !== 'IHDR' || header.data.length !== headerBytes) return null
  const [width, height] = [header.data.readUInt32BE(0), header.data.readUInt32BE(4)]
  const form = header.data.subarray(8)
  // Bits, colours, and the only compression, filters and interlacing that are meant here.
  if (!form.equals(Buffer.from([8, truecolour, 0, 0, 0])) || width * height > mostPoints) return null
  if (chunks.some(({ type }) => !['IHDR', 'IDAT', 'IEND'].includes(type))) return null
  const rowBytes = width * pointBytes
  const wantedBytes = height * (rowBytes + 1)
  const data = Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map((chunk) => chunk.data))
  const rows = inflated(data, wantedBytes)
  if (rows?.length !== wantedBytes) return null
  const rgb = Buffer.alloc(height * rowBytes)
  for (let y = 0; y < height; y += 1) {
    const from = y * (rowBytes + 1)
    if (!unfilter(rgb, y, rowBytes, rows[from] ?? 0, rows.subarray(from + 1, from + 1 + rowBytes)))
      return null
  }
  return { width, height, rgb }
}

interface Chunk {
  type: string
  data: Buffer
}

/** @returns null when it is no PNG, or not whole */
function chunksOf(png: Buffer): Chunk[] | null {
  if (!png.subarray(0, signature.length).equals(signature)) return null
  const chunks: Chunk[] = []
  for (let at = signature.length; at + 12 <= png.length; ) {
    const length = png.readUInt32BE(at)
    const type = png.toString('latin1', at + 4, at + 8)
    const data = png.subarray(at + 8, at + 8 + length)
    if (at + 12 + length > png.length) return null
    chunks.push({ type, data })
    at += 12 + length
    if (type === 'IEND') return at === png.length ? chunks : null
  }
  return null
}

function inflated(data: Buffer, mostBytes: number): Buffer | null {
  try {
    return inflateSync(data, { maxOutputLength: mostBytes })
  } catch {
    return null
  }
}

/** Puts row `y` where it belongs; each byte was written as its distance from its neighbours. @returns whether known */
function unfilter(rgb: Buffer, y: number, rowBytes: number, filter: number, row: Buffer): boolean {
  if (filter > 4) return false
  const start = y * rowBytes
  for (let x = 0; x < rowBytes; x += 1) {
    const left = x < pointBytes ? 0 : (rgb[start + x - pointBytes] ?? 0)
    const up = y === 0 ? 0 : (rgb[start + x - rowBytes] ?? 0)
    const upLeft = y === 0 || x < pointBytes ? 0 : (rgb[start + x - rowBytes - pointBytes] ?? 0)
    rgb[start + x] = (row[x] ?? 0) + guess(filter, left, up, upLeft)
  }
  return true
}

function guess(filter: number, left: number, up: number, upLeft: number): number {
  if (filter === 0) return 0
  if (filter === 1) return left
  if (filter === 2) return up
  if (filter === 3) return (left + up) >> 1
  const sum = left + up - upLeft
  const [byLeft, byUp, byUpLeft] = [Math.abs(sum - left), Math.abs(sum - up), Math.abs(sum - upLeft)]
  if (byLeft <= byUp && byLeft <= byUpLeft) return left
  return byUp <= byUpLeft ? up : upLeft
}

/** @returns null when it has too many colours */
function encode({ width, height, rgb }: Image): Buffer | null {
  const numbers = new Map<number, number>()
  const points = Buffer.alloc(width * height)
  for (let at = 0; at < points.length; at += 1) {
    const colour = rgb.readUIntBE(at * pointBytes, pointBytes)
    let number = numbers.get(colour)
    if (number === undefined) {
      number = numbers.size
      if (number === mostColours) return null
      numbers.set(colour, number)
    }
    points[at] = number
  }
  const bits = bitsFor(numbers.size)
  const header = Buffer.alloc(headerBytes)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([bits, indexed], 8)
  const palette = Buffer.alloc(numbers.size * pointBytes)
  for (const [colour, number] of numbers) palette.writeUIntBE(colour, number * pointBytes, pointBytes)
  const data = deflateSync(packed(points, width, height, bits), { level: 9 })
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('PLTE', palette),
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function bitsFor(colours: number): number {
  if (colours <= 2) return 1
  if (colours <= 4) return 2
  return colours <= 16 ? 4 : 8
}

/** Rows of whole bytes, the first point in the highest bits, each behind the number of its filter: none. */
function packed(points: Buffer, width: number, height: number, bits: number): Buffer {
  const rowBytes = Math.ceil((width * bits) / 8)
  const rows = Buffer.alloc(height * (rowBytes + 1))
  for (let at = 0; at < points.length; at += 1) {
    const x = at % width
    const row = ((at - x) / width) * (rowBytes + 1) + 1
    const shift = 8 - bits - ((x * bits) % 8)
    const to = row + ((x * bits) >> 3)
    rows[to] = (rows[to] ?? 0) | ((points[at] ?? 0) << shift)
  }
  return rows
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const bytes = Buffer.alloc(body.length + 8)
  bytes.writeUInt32BE(data.length, 0)
  body.copy(bytes, 4)
  bytes.writeUInt32BE(crc32(body), body.length + 4)
  return bytes
}
