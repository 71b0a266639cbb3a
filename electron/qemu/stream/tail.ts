/**
 * What comes after memory in a stream: the sections of devices, which carry no lengths, then EOF and QEMU's
 * description of the devices. Promises to tell a whole tail from one that was cut short.
 */
import { type StreamTail, sectionType, streamLimits } from './grammar.ts'
import { badStream } from './head.ts'

/** `sectionType.footer` and a section id. */
const footerBytes = 5

/**
 * Finds where the devices end. A description is JSON and holds no zero byte, so the last EOF and 06 in front of
 * a fitting length are the right ones; without one (machine option suppress-vmdesc) EOF is the last byte.
 * @throws qemu.bad_stream
 */
export function parseTail(bytes: Buffer): StreamTail {
  if (bytes.length > streamLimits.tailBytes) throw badStream('too much after memory', bytes.length)
  const eof = findDescription(bytes) ?? bytes.length - 1
  const whole =
    bytes[0] === sectionType.full &&
    bytes[eof] === sectionType.eof &&
    eof > footerBytes &&
    bytes[eof - footerBytes] === sectionType.footer
  if (!whole) throw badStream('the state of devices is cut short', bytes.length)
  return { bytes, deviceBytes: eof }
}

/** @returns the offset of the EOF in front of the description; null when there is none */
function findDescription(bytes: Buffer): number | null {
  const mark = Buffer.from([sectionType.eof, sectionType.vmdesc])
  let at = bytes.lastIndexOf(mark)
  // The length's own bytes may look like a mark; nothing else behind the right one can.
  for (let tries = 0; at >= 0 && tries < 4; tries++) {
    const jsonAt = at + 6
    const fits = jsonAt < bytes.length && jsonAt + bytes.readUInt32BE(at + 2) === bytes.length
    if (fits && isJsonObject(bytes.subarray(jsonAt))) return at
    at = at === 0 ? -1 : bytes.lastIndexOf(mark, at - 1)
  }
  return null
}

function isJsonObject(bytes: Buffer): boolean {
  if (bytes[0] !== 0x7b) return false
  try {
    JSON.parse(bytes.toString('utf8'))
    return true
  } catch {
    return false
  }
}
