import { execFileSync } from 'node:child_process'
import { truncate, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockdevAdd, nbdServerStart } from '../qemu/qmp/commands.ts'
import { NbdClient } from './nbd-client.ts'
import { metaContext } from './nbd-protocol.ts'
import type { DiskPiece, ReadAllocatedOptions } from './nbd-read-allocated.ts'
import { QemuToolBench } from './nbd-test-qemu.ts'

const mebibyteBytes = 1024 * 1024
const bothContexts = [metaContext.allocation, metaContext.depth]

let bench: QemuToolBench
beforeEach(async () => {
  bench = await QemuToolBench.make()
})
afterEach(async () => {
  await bench.end()
})

async function connectTo(socketPath: string, contexts: string[], exportName = ''): Promise<NbdClient> {
  const client = await NbdClient.connect({ socketPath, contexts, exportName })
  bench.ends.push(() => client.close())
  return client
}

interface Told {
  kind: DiskPiece['kind']
  sizeBytes: number
  depth: number | null
}

/** Puts a disk together again. @returns its content, zeros for what was not read, and what was told, joined */
async function capture(
  client: NbdClient,
  options: ReadAllocatedOptions = {},
): Promise<{ content: Buffer; told: Told[] }> {
  const content = Buffer.alloc(client.sizeBytes)
  const told: Told[] = []
  for await (const piece of client.readAllocated(options)) {
    const sizeBytes = piece.kind === 'data' ? piece.bytes.length : piece.lengthBytes
    if (piece.kind === 'data') piece.bytes.copy(content, piece.offset)
    const last = told.at(-1)
    if (last?.kind === piece.kind && last.depth === piece.depth) last.sizeBytes += sizeBytes
    else told.push({ kind: piece.kind, sizeBytes, depth: piece.depth })
  }
  return { content, told }
}

/** A chain of three: data of each layer, zeros written in the middle one, nothing in the rest. */
function createChain(): string {
  bench.create('0.qcow2', '16M')
  bench.io('0.qcow2', 'write -P 0x10 0 3M', 'write -P 0x11 8M 1M')
  bench.create('1.qcow2', '16M', '-b', '0.qcow2', '-F', 'qcow2')
  bench.io('1.qcow2', 'write -P 0x20 1M 1M', 'write -z 8M 1M')
  bench.create('2.qcow2', '16M', '-b', '1.qcow2', '-F', 'qcow2')
  bench.io('2.qcow2', 'write -P 0x30 2M 1M', 'write -P 0x31 12M 64k')
  return bench.at('2.qcow2')
}

const chainLayers: Told[] = [
  { kind: 'data', sizeBytes: mebibyteBytes, depth: 3 },
  { kind: 'data', sizeBytes: mebibyteBytes, depth: 2 },
  { kind: 'data', sizeBytes: mebibyteBytes, depth: 1 },
  { kind: 'hole', sizeBytes: 5 * mebibyteBytes, depth: 0 },
  { kind: 'zero', sizeBytes: mebibyteBytes, depth: 2 },
  { kind: 'hole', sizeBytes: 3 * mebibyteBytes, depth: 0 },
  { kind: 'data', sizeBytes: 65_536, depth: 1 },
  { kind: 'hole', sizeBytes: 4 * mebibyteBytes - 65_536, depth: 0 },
]

describe('the client and qemu-nbd', () => {
  it('take a chain of layers apart: what is data, zero or nothing, and in which layer', async () => {
    const path = createChain()
    const client = await connectTo(await bench.startQemuNbd(path, '-f', 'qcow2', '-A'), bothContexts)
    const { content, told } = await capture(client, { reuse: true })
    expect(told).toEqual(chainLayers)
    expect(content.equals(bench.contentOf(path))).toBe(true)
    const top = await capture(client, { maxDepth: 1 })
    expect(top.told).toEqual(
      chainLayers.map((part) => ({
        ...part,
        kind: part.kind === 'data' && (part.depth ?? 0) > 1 ? 'below' : part.kind,
      })),
    )
  })

  it('tell the blocks of a dirty bitmap', async () => {
    bench.create('a.qcow2', '8M')
    execFileSync('qemu-img', ['bitmap', '--add', '-g', '65536', bench.at('a.qcow2'), 'b0'])
    bench.io('a.qcow2', 'write 1M 128k')
    const socketPath = await bench.startQemuNbd(bench.at('a.qcow2'), '-f', 'qcow2', '-B', 'b0')
    const client = await connectTo(socketPath, ['qemu:dirty-bitmap:b0'])
    const extents = []
    for await (const { lengthBytes, flags } of client.blockStatus()) extents.push([lengthBytes, flags[0]])
    expect(extents).toEqual([
      [mebibyteBytes, 0],
      [131_072, 1],
      [7 * mebibyteBytes - 131_072, 0],
    ])
  })

  it('read every byte of a large disk and of one of an odd size', async () => {
    const content = Buffer.alloc(40 * mebibyteBytes + 512 * 3)
    for (let offset = 0; offset < content.length; offset += 4) content.writeUInt32LE(offset, offset)
    await writeFile(bench.at('a.raw'), content)
    const client = await connectTo(await bench.startQemuNbd(bench.at('a.raw'), '-f', 'raw'), [
      metaContext.allocation,
    ])
    expect((await client.read(0, content.length)).equals(content)).toBe(true)
    const captured = await capture(client, { reuse: true, aheadBytes: 2 * mebibyteBytes })
    expect(captured.content.equals(content)).toBe(true)
  })

  it('fail in words: no such export, no such context, a server that is killed while it is read', async () => {
    await writeFile(bench.at('a.raw'), '')
    await truncate(bench.at('a.raw'), 512 * mebibyteBytes)
    const socketPath = await bench.startQemuNbd(bench.at('a.raw'), '-f', 'raw', '-x', 'disk0')
    for (const options of [{ exportName: 'other' }, { exportName: 'disk0', contexts: bothContexts }]) {
      await expect(NbdClient.connect({ socketPath, ...options })).rejects.toMatchObject({
        code: 'disk.nbd_failed',
        detail: expect.stringMatching(/option 7 .*other|metadata context qemu:allocation-depth/),
      })
    }
    const client = await connectTo(socketPath, [], 'disk0')
    const outcome = expect(client.read(0, 512 * mebibyteBytes)).rejects.toMatchObject({
      code: 'disk.nbd_failed',
    })
    await wait(5)
    bench.children[0]?.kill('SIGKILL')
    await outcome
  })
})

describe('the client and a running QEMU', () => {
  it('read a frozen layer while the one above is written to', async () => {
    const frozen = createChain()
    const expected = bench.contentOf(frozen)
    bench.create('live.qcow2', '16M')
    const qmp = await bench.startQemu()
    await blockdevAdd(qmp, {
      'node-name': 'frozen',
      driver: 'qcow2',
      'read-only': true,
      file: { driver: 'file', filename: frozen },
    })
    await blockdevAdd(qmp, {
      'node-name': 'live',
      driver: 'qcow2',
      file: { driver: 'file', filename: bench.at('live.qcow2') },
      backing: 'frozen',
    })
    await nbdServerStart(qmp, bench.at('nbd.sock'))
    await qmp.execute('block-export-add', {
      type: 'nbd',
      id: 'e',
      'node-name': 'frozen',
      name: 'frozen',
      'allocation-depth': true,
    })
    const client = await connectTo(bench.at('nbd.sock'), bothContexts, 'frozen')
    await bench.writeInQemu(qmp, 'live', '-P 0x77 0 4M')
    const { content, told } = await capture(client)
    expect(told).toEqual(chainLayers)
    expect(content.equals(expected)).toBe(true)
  })
})
