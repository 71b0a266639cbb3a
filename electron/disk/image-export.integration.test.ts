import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createEmpty, createOverlay } from './image.ts'
import { exportImage } from './image-export.ts'
import { NbdClient } from './nbd-client.ts'

const run = promisify(execFile)
const mebibyte = 1024 ** 2

let folder: string
let base: string
let top: string
let socketPath: string

/** A base with a megabyte of 0x11, a top with a megabyte of 0x22 behind it. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wx-'))
  base = join(folder, 'base.qcow2')
  top = join(folder, 'top.qcow2')
  socketPath = join(folder, 'nbd.sock')
  await createEmpty(base, 8 * mebibyte)
  await write(base, '0x11 0 1M')
  // What the file says it is backed by must not be followed: it does not exist.
  await createOverlay(top, { backing: 'nowhere.qcow2', virtualSizeBytes: 8 * mebibyte })
  await run('qemu-img', ['rebase', '-u', '-F', 'qcow2', '-b', base, top])
  await write(top, '0x22 1M 1M')
  await run('qemu-img', ['rebase', '-u', '-F', 'qcow2', '-b', '/nowhere.qcow2', top])
})
afterEach(async () => await rm(folder, { recursive: true, force: true }))

const options = () => ({ chain: [base, top], socketPath, exportName: 'disk0' })

async function write(path: string, what: string): Promise<void> {
  await run('qemu-io', ['-f', 'qcow2', '-c', `write -P ${what}`, path])
}

/** Whether somebody else may write to the image. */
async function isWritable(): Promise<boolean> {
  const chain = { driver: 'qcow2', file: { driver: 'file', filename: top }, backing: null }
  const args = ['-c', 'write -P 0x33 4M 64k', `json:${JSON.stringify(chain)}`]
  const { stdout } = await run('qemu-io', args).catch((error: { stderr: string }) => ({
    stdout: error.stderr,
  }))
  return stdout.includes('wrote')
}

it('the whole chain is read, with what lies in which layer', async () => {
  const served = await exportImage(options())
  expect(served.sizeBytes).toBe(8 * mebibyte)
  const contexts = ['base:allocation', 'qemu:allocation-depth']
  const client = await NbdClient.connect({ socketPath, exportName: 'disk0', contexts })
  const bytes = await client.read(mebibyte - 1, 2)
  expect([...bytes]).toEqual([0x11, 0x22])
  const pieces = []
  for await (const piece of client.readAllocated()) {
    if (piece.kind === 'data') pieces.push([piece.offset / mebibyte, piece.depth])
  }
  expect(pieces).toEqual([
    [0, 2],
    [1, 1],
  ])
  await client.close()
  await served.end()
  expect(await readdir(folder)).not.toContain('nbd.sock')
})

it('nobody writes to it meanwhile, and anybody may afterwards', async () => {
  const served = await exportImage(options())
  expect(await isWritable()).toBe(false)
  await served.end()
  expect(await isWritable()).toBe(true)
})

it('an image that somebody writes to is refused by name', async () => {
  const writer = spawn('qemu-nbd', ['--persistent', '-f', 'qcow2', `--socket=${folder}/w.sock`, base])
  await expect.poll(() => readdir(folder), { timeout: 5000 }).toContain('w.sock')
  await expect(exportImage(options())).rejects.toMatchObject({ code: 'disk.locked' })
  writer.kill()
  await once(writer, 'exit')
  await (await exportImage(options())).end()
})

it('what is no image is refused by name, and nothing is left', async () => {
  await writeFile(top, Buffer.alloc(mebibyte, 7))
  await expect(exportImage(options())).rejects.toMatchObject({
    code: 'disk.image_tool_failed',
    detail: expect.stringContaining('not in qcow2 format'),
  })
  await rm(top)
  await expect(exportImage(options())).rejects.toMatchObject({ code: 'disk.truncated' })
  expect(await readdir(folder)).toEqual(['base.qcow2'])
})

it('one that is called off leaves nothing', async () => {
  const calledOff = new AbortController()
  const exporting = exportImage({ ...options(), signal: calledOff.signal })
  setTimeout(() => calledOff.abort(), 5)
  await expect(exporting).rejects.toThrow()
  expect(await isWritable()).toBe(true)
})

/** A host that exports the image. @param before what it does first */
async function startHost(before = ''): Promise<ChildProcessByStdio<null, Readable, null>> {
  const script = join(folder, 'host.ts')
  const source = JSON.stringify(join(import.meta.dirname, 'image-export.ts'))
  const text = `${before}
const { exportImage } = await import(${source})
await exportImage(${JSON.stringify(options())})
console.log('ready')
setInterval(() => {}, 1000)`
  await writeFile(script, text)
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** Makes a host do something as soon as the server has been started, before it can connect to it. */
const onceStarted = (what: string) => `
import childProcess from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'
const { spawn } = childProcess
childProcess.spawn = (...given) => {
  const child = spawn(...given)
  ${what}
  return child
}
syncBuiltinESMExports()`

/** Programs that were started for the image, but for the host. */
async function serversLeft(host: { pid?: number | undefined }): Promise<string[]> {
  const left: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === host.pid) continue
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (line.includes(folder)) left.push(line.replaceAll('\0', ' '))
  }
  return left
}

it('it ends with the host, however that ends', async () => {
  const host = await startHost()
  await once(host.stdout, 'data')
  expect(await isWritable()).toBe(false)
  host.kill('SIGKILL')
  await expect.poll(isWritable, { timeout: 5000 }).toBe(true)
  await expect.poll(() => serversLeft(host), { timeout: 5000 }).toEqual([])
})

it('it ends with a host that is killed before the first connection', async () => {
  const host = await startHost(onceStarted('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)'))
  await expect.poll(() => readdir(folder), { timeout: 5000 }).toContain('nbd.sock')
  expect(await isWritable()).toBe(false)
  host.kill('SIGKILL')
  await expect.poll(() => serversLeft(host), { timeout: 5000 }).toEqual([])
  expect(await isWritable()).toBe(true)
})

it('it ends with a host that is killed while it starts', async () => {
  const host = await startHost(onceStarted("process.kill(process.pid, 'SIGKILL')"))
  await once(host, 'exit')
  await expect.poll(() => serversLeft(host), { timeout: 5000 }).toEqual([])
  expect(await isWritable()).toBe(true)
})

it('nothing of it is left when it was ended', async () => {
  const served = await exportImage(options())
  expect((await serversLeft({})).length).toBeGreaterThan(0)
  await served.end()
  expect(await serversLeft({})).toEqual([])
})

it('a PC without qemu-nbd is told so', async () => {
  vi.stubEnv('PATH', folder)
  await expect(exportImage(options())).rejects.toMatchObject({ code: 'qemu.missing' })
  vi.unstubAllEnvs()
  expect(await serversLeft({})).toEqual([])
})
