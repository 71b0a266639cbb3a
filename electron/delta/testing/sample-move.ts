/** A stream as QEMU writes it for a move, small enough to be looked at. */
import {
  device,
  opening,
  ramPart,
  ramStart,
  u8,
  u16,
  u32,
  u64,
} from '../../qemu/stream/testing/sample-streams.ts'

/** A round over one block of memory, as QEMU writes a move: commands, one part for each round, devices. */
export function moveOf(memory: readonly Buffer[], later: ReadonlyMap<number, Buffer> = new Map()): Buffer {
  const record = (page: number, content: Buffer, named: boolean) =>
    Buffer.concat([
      u64(page * 4096 + (named ? 0x08 : 0x28)),
      named ? Buffer.concat([u8(6), Buffer.from('pc.ram')]) : Buffer.alloc(0),
      content,
    ])
  const openReturnPath = Buffer.concat([u8(8), u16(1), u16(0)])
  const ping = Buffer.concat([u8(8), u16(2), u16(4), u32(5)])
  return Buffer.concat([
    opening(),
    openReturnPath,
    ping,
    ramStart([{ name: 'pc.ram', pages: memory.length }]),
    ramPart(memory.map((content, page) => record(page, content, page === 0))),
    ramPart(
      [...later].map(([page, content], index) => record(page, content, index === 0)),
      3,
    ),
    device('cpu', Buffer.alloc(70_000, 3)),
    u8(0),
  ])
}
