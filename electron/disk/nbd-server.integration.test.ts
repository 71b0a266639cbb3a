import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockdevAdd, blockdevDel } from '../qemu/qmp/commands.ts'
import type { QmpEvent } from '../qemu/qmp/messages.ts'
import type { QmpSession } from '../qemu/qmp/session.ts'
import type { BlockProvider } from './nbd-connection.ts'
import type { BlockExtent } from './nbd-extents.ts'
import { NbdServer } from './nbd-server.ts'
import { QemuToolBench } from './nbd-test-qemu.ts'

const mebibyteBytes = 1024 * 1024

let bench: QemuToolBench
beforeEach(async () => {
  bench = await QemuToolBench.make()
})
afterEach(async () => {
  await bench.end()
})

/** A disk in memory, of units of 64 KiB each of which tells its place. */
class MemoryDisk implements BlockProvider {
  readonly content: Buffer
  readonly sizeBytes: number
  delayMs = 0
  fails = false
  readBytes = 0

  constructor(sizeBytes: number, kinds: (unit: number) => BlockExtent['kind']) {
    this.sizeBytes = sizeBytes
    this.content = Buffer.alloc(sizeBytes)
    this.#kinds = kinds
    for (let unit = 0; unit * 65_536 < sizeBytes; unit += 1) {
      const offset = unit * 65_536
      if (kinds(unit) !== 'data') continue
      this.content.fill(1 + (unit % 250), offset, offset + 65_536)
      this.content.writeUInt32LE(unit, offset)
    }
  }
  readonly #kinds: (unit: number) => BlockExtent['kind']

  async read(offset: number, lengthBytes: number, signal: AbortSignal): Promise<Buffer> {
    if (this.delayMs > 0) await wait(this.delayMs, undefined, { signal })
    if (this.fails) throw new Error('the store does not answer')
    this.readBytes += lengthBytes
    return this.content.subarray(offset, offset + lengthBytes)
  }

  *extents(offset: number, lengthBytes: number): Generator<BlockExtent> {
    for (let here = offset; here < offset + lengthBytes; ) {
      const unit = Math.floor(here / 65_536)
      const next = Math.min((unit + 1) * 65_536, offset + lengthBytes)
      yield { lengthBytes: next - here, kind: this.#kinds(unit) }
      here = next
    }
  }
}

/** 32 MiB: data and zeros in crumbs, the second half a hole. */
function mixedDisk(): MemoryDisk {
  return new MemoryDisk(32 * mebibyteBytes, (unit) => {
    if (unit >= 256) return 'hole'
    return unit % 3 === 0 ? 'zero' : 'data'
  })
}

async function serve(provider: BlockProvider, skipHoles = false): Promise<NbdServer> {
  const socketPath = bench.at('s.sock')
  const server = await NbdServer.listen({ socketPath, exportName: 'disk0', provider, skipHoles })
  bench.ends.push(() => server.close())
  return server
}

describe('the server and qemu-img', () => {
  it('agree on every byte and on what holds nothing', async () => {
    const disk = mixedDisk()
    await serve(disk)
    const uri = `nbd+unix:///disk0?socket=${bench.at('s.sock')}`
    await bench.run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uri, bench.at('out.raw'))
    expect(readFileSync(bench.at('out.raw')).equals(disk.content)).toBe(true)
    expect(
      await bench.run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uri, bench.at('out.raw')),
    ).toContain('identical')
    const map: { start: number; length: number; data: boolean; zero: boolean }[] = JSON.parse(
      await bench.run('qemu-img', 'map', '--output=json', '-f', 'raw', uri),
    )
    expect(map.at(-1)).toMatchObject({
      start: 16 * mebibyteBytes,
      length: 16 * mebibyteBytes,
      data: false,
      zero: true,
    })
    expect(map[0]).toMatchObject({ length: 65_536, zero: true })
    expect(map[1]).toMatchObject({ start: 65_536, length: 131_072, data: true, zero: false })
    expect(await bench.run('qemu-img', 'info', uri)).toContain('32 MiB')
  })
})

describe('the server and a running QEMU', () => {
  async function startOverlay(qmp: QmpSession, sizeBytes: number): Promise<void> {
    bench.create('top.qcow2', String(sizeBytes))
    await blockdevAdd(qmp, {
      'node-name': 'remote',
      driver: 'nbd',
      'read-only': true,
      server: { type: 'unix', path: bench.at('s.sock') },
      export: 'disk0',
      'reconnect-delay': 30,
    })
    await blockdevAdd(qmp, {
      'node-name': 'top',
      driver: 'qcow2',
      file: { driver: 'file', filename: bench.at('top.qcow2') },
      backing: 'remote',
    })
  }

  /** Copies all into the overlay. @returns QEMU's error; undefined when all went well */
  async function streamAll(qmp: QmpSession): Promise<unknown> {
    const isOver = ({ name }: QmpEvent): boolean => name === 'BLOCK_JOB_COMPLETED'
    const over = qmp.waitForEvent(isOver, { timeoutMs: 30_000 })
    await qmp.execute('block-stream', { 'job-id': 'stream', device: 'top' })
    return (await over).data.error
  }

  it.each([
    [true, 'leaving the holes out'],
    [false, 'writing zeros for the holes'],
  ])(
    'copy a disk into an overlay in use and need the server no more, skipHoles %s: %s',
    async (skipHoles) => {
      const disk = mixedDisk()
      disk.delayMs = 2
      const server = await serve(disk, skipHoles)
      const qmp = await bench.startQemu()
      await startOverlay(qmp, disk.sizeBytes)
      await bench.writeInQemu(qmp, 'top', '-P 0x99 1M 64k')
      const streamed = streamAll(qmp)
      await bench.writeInQemu(qmp, 'top', '-P 0x98 15M 64k')
      expect(await streamed).toBeUndefined()
      await blockdevDel(qmp, 'top')
      await blockdevDel(qmp, 'remote')
      await server.close()
      const expected = Buffer.from(disk.content)
      expected.fill(0x99, mebibyteBytes, mebibyteBytes + 65_536)
      expected.fill(0x98, 15 * mebibyteBytes, 15 * mebibyteBytes + 65_536)
      expect(bench.contentOf(bench.at('top.qcow2')).equals(expected)).toBe(true)
      execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', bench.at('top.qcow2')])
      expect(statSync(bench.at('top.qcow2')).size).toBeLessThan(13 * mebibyteBytes)
      expect(disk.readBytes).toBeLessThanOrEqual(12 * mebibyteBytes)
      const map: { present: boolean; zero: boolean }[] = JSON.parse(
        await bench.run('qemu-img', 'map', '--output=json', '-f', 'qcow2', bench.at('top.qcow2')),
      )
      expect(map.at(-1)).toMatchObject({ present: !skipHoles, zero: true })
    },
  )

  it('go on where they were when the server goes away and another takes its place', async () => {
    const disk = mixedDisk()
    disk.delayMs = 20
    const first = await serve(disk)
    const qmp = await bench.startQemu()
    await startOverlay(qmp, disk.sizeBytes)
    const streamed = streamAll(qmp)
    while (disk.readBytes < 2 * mebibyteBytes) await wait(5)
    await first.close()
    await wait(200)
    disk.delayMs = 0
    await serve(disk)
    expect(await streamed).toBeUndefined()
    await blockdevDel(qmp, 'top')
    expect(bench.contentOf(bench.at('top.qcow2')).equals(disk.content)).toBe(true)
  })

  it('hand a failure of the store on as an input/output error, and work when it answers again', async () => {
    const disk = mixedDisk()
    disk.fails = true
    await serve(disk)
    const qmp = await bench.startQemu()
    await startOverlay(qmp, disk.sizeBytes)
    expect(await streamAll(qmp)).toBe('Input/output error')
    disk.fails = false
    expect(await streamAll(qmp)).toBeUndefined()
    await blockdevDel(qmp, 'top')
    expect(bench.contentOf(bench.at('top.qcow2')).equals(disk.content)).toBe(true)
  })
})
