/**
 * What the source of a post-copy migration sends before the first page: everything a destination needs to run the guest
 * with no memory at all. The order is that of QEMU's migration/migration.c (postcopy_start) and
 * migration/savevm.c; pure.
 */
import { command, pageBytes, type StreamHead, type StreamTail, sectionType } from './grammar.ts'

/** Devices are read from memory in one piece [MIG_CMD_PACKAGED], for pages have the connection from LISTEN on. */
export function postcopyPreamble(head: StreamHead, tail: StreamTail): Buffer {
  const devices = tail.bytes.subarray(0, tail.deviceBytes)
  const packed = Buffer.concat([encode(command.postcopyListen), devices, encode(command.postcopyRun)])
  return Buffer.concat([
    head.bytes.subarray(0, head.configurationBytes),
    encode(command.openReturnPath),
    // The sizes of all blocks' pages, or-ed together; the size of a target page.
    encode(command.postcopyAdvise, Buffer.concat([u64(pageBytes), u64(pageBytes)])),
    head.bytes.subarray(head.configurationBytes),
    // Memory is empty by now. But without a single discard QEMU goes from ADVISE to LISTEN by a way on which it
    // still reads pages as those of a pre-copy, and waits for ever.
    ...head.blocks.map(({ name }) => encode(command.postcopyRamDiscard, discardFirstPage(name))),
    encode(command.packaged, u32(packed.length)),
    packed,
  ])
}

/** Version 0, the block, and one range [qemu_savevm_send_postcopy_ram_discard]. */
function discardFirstPage(name: string): Buffer {
  const text = Buffer.from(name, 'latin1')
  return Buffer.concat([Buffer.of(0, text.length), text, Buffer.of(0), u64(0), u64(pageBytes)])
}

function encode(which: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(5)
  header.writeUInt8(sectionType.command)
  header.writeUInt16BE(which, 1)
  header.writeUInt16BE(data.length, 3)
  return Buffer.concat([header, data])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
