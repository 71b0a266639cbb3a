import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mebibyteBytes } from '../../shared/models/guest-definition.ts'
import { checkImage, createEmpty, createOverlay, importImage, inspectImage } from './image.ts'
import { receiveLayer, sendLayer } from './layer-transfer.ts'
import { backingFromGuest, backingFromLayer, LayerStore, newLayerId } from './layers.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wdl-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true, force: true })
})

async function filledImage(name: string, sizeMebibytes = 4): Promise<string> {
  const path = join(dir, name)
  await createEmpty(path, 64 * mebibyteBytes)
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P 0x7a 1M ${sizeMebibytes}M`, path])
  return path
}

describe('looking at an image', () => {
  it('tells its format, sizes and what it is backed by', async () => {
    const base = await filledImage('base.qcow2')
    const overlay = join(dir, 'overlay.qcow2')
    await createOverlay(overlay, { backing: 'base.qcow2', virtualSizeBytes: 64 * mebibyteBytes })
    expect(await inspectImage(base)).toMatchObject({ format: 'qcow2', virtualSizeBytes: 64 * mebibyteBytes })
    expect((await inspectImage(overlay)).backingFile).toBe('base.qcow2')
    expect(statSync(overlay).mode & 0o777).toBe(0o600)
  })

  it('names what is wrong with what is no image', async () => {
    const cases: [string, string][] = []
    const add = async (name: string, content: string | Buffer, code: string): Promise<void> => {
      await writeFile(join(dir, name), content)
      cases.push([name, code])
    }
    await add('text', 'hello, this is no disk\n'.repeat(100), 'disk.not_an_image')
    await add('empty', '', 'disk.not_an_image')
    await add('vmdk', Buffer.from(`KDMV${'\0'.repeat(2000)}`), 'disk.not_an_image')
    await add('torn raw', Buffer.alloc(1000), 'disk.truncated')
    await add('header only', Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), 'disk.truncated')
    execFileSync('mkfifo', [join(dir, 'pipe')])
    await mkdir(join(dir, 'folder'))
    cases.push(['pipe', 'disk.not_a_file'], ['folder', 'disk.not_a_file'], ['none', 'disk.missing'])
    for (const [name, code] of cases) {
      await expect(inspectImage(join(dir, name)), name).rejects.toMatchObject({ code })
    }
    await expect(inspectImage('/dev/zero')).rejects.toMatchObject({ code: 'disk.not_a_file' })
  })

  it('refuses an image whose data lie in another file', async () => {
    const path = join(dir, 'split.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', `data_file=${dir}/data.raw`, path, '1M'])
    await expect(inspectImage(path)).rejects.toMatchObject({ code: 'disk.backed_outside' })
  })

  it('finds corruption', async () => {
    const path = await filledImage('a.qcow2')
    expect(await checkImage(path)).toMatchObject({ sound: true, clean: true })
    await truncate(path, 3 * mebibyteBytes)
    expect(await checkImage(path)).toMatchObject({ sound: false })
  })
})

describe('bringing a disk in', () => {
  it('copies raw and qcow2 images into one of ours, with progress', async () => {
    const raw = join(dir, 'my disk, ü.img')
    const content = Buffer.alloc(8 * mebibyteBytes)
    content.write('\x55\xaa', 510, 'latin1')
    content.fill(0x42, 2 * mebibyteBytes, 3 * mebibyteBytes)
    await writeFile(raw, content)
    const seen: number[] = []
    const target = join(dir, 'in.qcow2')
    await importImage(raw, target, { onProgress: (fraction) => seen.push(fraction) })
    expect(seen.at(-1)).toBe(1)
    expect(await inspectImage(target)).toMatchObject({ format: 'qcow2', virtualSizeBytes: 8 * mebibyteBytes })
    execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', raw, target])
    await importImage(target, join(dir, 'again.qcow2'))
    execFileSync('qemu-img', ['compare', target, join(dir, 'again.qcow2')])
  })

  it('refuses images that are backed by a file outside or cut short, and leaves nothing', async () => {
    const base = await filledImage('base.qcow2')
    const overlay = join(dir, 'overlay.qcow2')
    await createOverlay(overlay, { backing: '/etc/passwd', virtualSizeBytes: mebibyteBytes })
    const target = join(dir, 'in.qcow2')
    await expect(importImage(overlay, target)).rejects.toMatchObject({ code: 'disk.backed_outside' })
    await truncate(base, 3 * mebibyteBytes)
    await expect(importImage(base, target)).rejects.toMatchObject({ code: 'disk.truncated' })
    expect(readdirSync(dir).filter((name) => name.startsWith('in.'))).toEqual([])
  })

  it('leaves nothing when it is cancelled', async () => {
    const base = await filledImage('base.qcow2', 32)
    const target = join(dir, 'in.qcow2')
    const signal = AbortSignal.timeout(15)
    await expect(importImage(base, target, { signal })).rejects.toMatchObject({ code: 'host.cancelled' })
    expect(readdirSync(dir)).toEqual(['base.qcow2'])
  })

  it('says that an image is in use', async () => {
    const path = await filledImage('a.qcow2')
    const holder = spawn('qemu-io', ['-f', 'qcow2', path], { stdio: ['pipe', 'pipe', 'inherit'] })
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    await expect(importImage(path, join(dir, 'b.qcow2'))).rejects.toMatchObject({ code: 'disk.locked' })
    expect((await inspectImage(path, { inUse: true })).format).toBe('qcow2')
    const gone = new Promise((resolve) => holder.once('exit', resolve))
    holder.stdin.end()
    await gone
  })
})

async function storeWithLayer(name: string, sizeMebibytes = 4): Promise<{ store: LayerStore; id: string }> {
  const store = new LayerStore(join(dir, name))
  const id = newLayerId()
  await store.addFromFile(await filledImage(`${name}.qcow2`, sizeMebibytes), id)
  return { store, id }
}

describe('the layer store', () => {
  it('keeps a layer read-only beside its size and hash, and lists it', async () => {
    const file = await filledImage('a.qcow2')
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
    const store = new LayerStore(join(dir, 'data'))
    expect(await store.list()).toEqual([])
    const id = newLayerId()
    const info = await store.addFromFile(file, id)
    expect(info).toMatchObject({ id, sha256, virtualSizeBytes: 64 * mebibyteBytes })
    expect(existsSync(file)).toBe(false)
    expect(statSync(store.path(id)).mode & 0o777).toBe(0o400)
    expect(await store.list()).toEqual([info])
    await store.remove(id)
    expect(await store.has(id)).toBe(false)
    await expect(store.info(id)).rejects.toMatchObject({ code: 'disk.layer_missing' })
    expect(readdirSync(join(dir, 'data/layers'))).toEqual([])
  })

  it('does not list a layer whose file is gone or has another size', async () => {
    const { store, id } = await storeWithLayer('data')
    await rm(store.path(id))
    expect(await store.has(id)).toBe(false)
    await writeFile(store.path(id), 'short')
    expect(await store.list()).toEqual([])
  })

  it('takes layers that stand on layers, and no others', async () => {
    const { store, id } = await storeWithLayer('data')
    const options = { virtualSizeBytes: 64 * mebibyteBytes }
    const good = join(dir, 'good.qcow2')
    await createOverlay(good, { backing: backingFromLayer(id), ...options })
    await store.addFromFile(good, newLayerId())
    for (const backing of ['/etc/passwd', '../../../x.qcow2', `../${id}.qcow2`, 'json:{}']) {
      const bad = join(dir, 'bad.qcow2')
      await createOverlay(bad, { backing, ...options })
      await expect(store.addFromFile(bad, newLayerId())).rejects.toMatchObject({
        code: 'disk.backed_outside',
      })
      await rm(bad)
    }
    await writeFile(join(dir, 'no.qcow2'), 'no image')
    await expect(store.addFromFile(join(dir, 'no.qcow2'), newLayerId())).rejects.toMatchObject({
      code: 'disk.not_an_image',
    })
  })

  it('keeps no layer whose note could not be written, because nobody would find it again', async () => {
    const store = new LayerStore(dir)
    const id = newLayerId()
    const file = join(dir, 'new.qcow2')
    await createEmpty(file, mebibyteBytes)
    await mkdir(join(dir, 'layers', `${id}.json`), { recursive: true })
    await expect(store.addFromFile(file, id)).rejects.toThrow()
    expect(readdirSync(join(dir, 'layers'))).toEqual([`${id}.json`])
  })

  it('makes no path of what is no layer id', () => {
    expect(() => new LayerStore(dir).path('../../etc/passwd')).toThrow(
      expect.objectContaining({ code: 'host.bad_input' }),
    )
  })

  it('lets the files of a guest find each other wherever the data folder is', async () => {
    const { store, id } = await storeWithLayer('data')
    const guestDir = join(dir, 'data/guests/g')
    await mkdir(guestDir, { recursive: true })
    const top = join(guestDir, 'top.qcow2')
    await createOverlay(top, { backing: backingFromGuest(id), virtualSizeBytes: 64 * mebibyteBytes })
    execFileSync('qemu-io', ['-r', '-f', 'qcow2', '-c', 'read -P 0x7a 1M 4M', top])
    expect(await store.has(id)).toBe(true)
  })
})

/** Two ends of one connection; `cutAfterBytes` breaks it on the way from the first to the second. */
class Wire {
  static async make(cutAfterBytes = Number.POSITIVE_INFINITY): Promise<Wire> {
    const path = join(dir, `wire-${Math.random()}`)
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(path, resolve))
    const arrived = new Promise<Socket>((resolve) => server.once('connection', resolve))
    const sender = connect(path)
    const socket = await arrived
    return new Wire(server, sender, socket, cutAfterBytes)
  }

  readonly #server: Server
  readonly sender: Socket
  readonly receiver: Socket

  private constructor(server: Server, sender: Socket, receiver: Socket, cutAfterBytes: number) {
    this.#server = server
    this.sender = sender
    this.receiver = receiver
    let seen = 0
    receiver.prependListener('readable', () => {
      if (receiver.bytesRead > seen) seen = receiver.bytesRead
      if (seen > cutAfterBytes) sender.destroy()
    })
    for (const socket of [sender, receiver]) socket.on('error', () => {})
  }

  async end(): Promise<void> {
    this.sender.destroy()
    this.receiver.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

describe('a layer on its way', () => {
  it('arrives whole, is listed, and the stream is free for the next', async () => {
    const { store, id } = await storeWithLayer('here')
    const expected = await store.info(id)
    const there = new LayerStore(join(dir, 'there'))
    const wire = await Wire.make()
    const progress: number[] = []
    const onProgress = (now: { doneBytes: number }): void => void progress.push(now.doneBytes)
    await Promise.all([
      sendLayer(wire.sender, store, id),
      receiveLayer(wire.receiver, there, id, expected, { onProgress }),
    ])
    expect(await there.info(id)).toMatchObject({ sha256: expected.sha256, sizeBytes: expected.sizeBytes })
    expect(progress.at(-1)).toBe(expected.sizeBytes)
    execFileSync('qemu-img', ['compare', store.path(id), there.path(id)])
    const before = wire.receiver.bytesRead
    await Promise.all([sendLayer(wire.sender, store, id), receiveLayer(wire.receiver, there, id, expected)])
    expect(wire.receiver.bytesRead, 'what is there is not sent again').toBe(before)
    await wire.end()
  })

  it('goes on where it was cut', async () => {
    const { store, id } = await storeWithLayer('here', 16)
    const expected = await store.info(id)
    const there = new LayerStore(join(dir, 'there'))
    const first = await Wire.make(5 * mebibyteBytes)
    const outcomes = await Promise.allSettled([
      sendLayer(first.sender, store, id),
      receiveLayer(first.receiver, there, id, expected),
    ])
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'disk.transfer_cut' } })
    }
    await first.end()
    const { heldBytes } = await there.openPartial(id)
    expect(heldBytes).toBeGreaterThan(4 * mebibyteBytes)
    expect(await there.has(id)).toBe(false)
    const second = await Wire.make()
    await Promise.all([
      sendLayer(second.sender, store, id),
      receiveLayer(second.receiver, there, id, expected),
    ])
    expect(second.receiver.bytesRead).toBe(expected.sizeBytes - heldBytes)
    expect(await there.has(id)).toBe(true)
    await second.end()
  })
})

describe('a layer that should not arrive', () => {
  it('is thrown away when it arrives damaged, now or in an earlier try', async () => {
    const { store, id } = await storeWithLayer('here')
    const expected = await store.info(id)
    const there = new LayerStore(join(dir, 'there'))
    const partial = await there.openPartial(id)
    await writeFile(partial.path, Buffer.alloc(mebibyteBytes, 0xee))
    const wire = await Wire.make()
    const sending = sendLayer(wire.sender, store, id)
    sending.catch(() => {})
    await expect(receiveLayer(wire.receiver, there, id, expected)).rejects.toMatchObject({
      code: 'disk.layer_corrupt',
    })
    await wire.end()
    await expect(sending).rejects.toMatchObject({ code: 'disk.transfer_cut' })
    expect(readdirSync(join(dir, 'there/layers'))).toEqual([])
  })

  it('is not taken when its hash is right but it is no image', async () => {
    const content = Buffer.from('not an image')
    const expected = { sizeBytes: content.length, sha256: createHash('sha256').update(content).digest('hex') }
    const there = new LayerStore(join(dir, 'there'))
    const id = newLayerId()
    const wire = await Wire.make()
    wire.sender.write(content)
    await expect(receiveLayer(wire.receiver, there, id, expected)).rejects.toMatchObject({
      code: 'disk.not_an_image',
    })
    expect(readdirSync(join(dir, 'there/layers'))).toEqual([])
    await wire.end()
  })

  it('can be cancelled from either side, what has arrived being kept', async () => {
    const { store, id } = await storeWithLayer('here', 16)
    const expected = await store.info(id)
    const there = new LayerStore(join(dir, 'there'))
    const wire = await Wire.make()
    const aborter = new AbortController()
    const sending = sendLayer(wire.sender, store, id)
    sending.catch(() => {})
    const onProgress = (now: { doneBytes: number }): void => {
      if (now.doneBytes > 2 * mebibyteBytes) aborter.abort()
    }
    await expect(
      receiveLayer(wire.receiver, there, id, expected, { signal: aborter.signal, onProgress }),
    ).rejects.toMatchObject({ code: 'host.cancelled' })
    await wire.end()
    expect((await there.openPartial(id)).heldBytes).toBeGreaterThan(2 * mebibyteBytes)
    await there.discardPartial(id)
    expect(readdirSync(join(dir, 'there/layers'))).toEqual([])
  })
})
