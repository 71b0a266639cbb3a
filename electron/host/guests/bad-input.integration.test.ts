/** What a host makes of bad input and bad surroundings: a named error each time, and nothing changed on the disk. */
import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NewGuest } from '../../../shared/models/guest.ts'
import { DockProcess, type DockProcessOptions, makeDocksFolder } from '../../testing/dock-process.ts'

const run = promisify(execFile)
const mebibyte = 1024 ** 2

let folder: string
let dock: DockProcess
const docks: DockProcess[] = []

function makeDock(home: string, options: Partial<DockProcessOptions> = {}): DockProcess {
  const common = { namespace: null, bindAddress: '127.0.0.1', discovery: false, port: 0 }
  const made = new DockProcess({ ...common, home: join(folder, home), name: 'Dock', ...options })
  docks.push(made)
  return made
}

beforeAll(async () => {
  folder = await makeDocksFolder()
  dock = makeDock('a')
  await dock.start()
}, 60_000)

afterAll(async () => {
  for (const each of docks) await each.destroy()
  await rm(folder, { recursive: true, force: true })
})

const wanted: NewGuest = {
  name: 'New',
  source: { kind: 'demo' },
  cores: 1,
  memoryBytes: 256 * mebibyte,
  network: 'none',
}

/** Every file of guests and layers. */
async function stored(of = dock): Promise<string[]> {
  const data = of.dataDir
  const lists = ['guests', 'layers', 'boot'].map((name) =>
    readdir(join(data, name), { recursive: true }).catch(() => []),
  )
  return (await Promise.all(lists)).flat()
}

/** Creates a guest to its end. @returns the code of the error that ended it, or `done` */
async function outcome(guest: unknown, of = dock): Promise<string> {
  try {
    // Faces may send anything: types end at the border.
    const { operationId } = await of.client.guests.create(guest as NewGuest)
    if (operationId === null) return 'done'
    const { state } = await of.operationEnd(operationId)
    return state.kind === 'failed' ? state.error.code : state.kind
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

const fromDisk = (path: string, name = 'New') => ({ ...wanted, name, source: { kind: 'disk', path } })

describe('the definition of a new guest', () => {
  it.each<[string, object]>([
    ['an unknown field', { ...wanted, sudo: true }],
    ['an unknown kind of source', { ...wanted, source: { kind: 'url', path: '/x' } }],
    ['an unknown field in its source', { ...wanted, source: { kind: 'demo', path: '/etc/passwd' } }],
    ['text for a number', { ...wanted, cores: '1' }],
    ['no core', { ...wanted, cores: 0 }],
    ['absurdly many cores', { ...wanted, cores: 1e9 }],
    ['absurdly much memory', { ...wanted, memoryBytes: 2 ** 60 }],
    ['a broken number', { ...wanted, memoryBytes: 256 * mebibyte + 0.5 }],
    ['no name', { ...wanted, name: ' \t ' }],
    ['a name of 65 letters', { ...wanted, name: 'x'.repeat(65) }],
    ['a name with a control character', { ...wanted, name: 'a\u0000b' }],
    ['a name written backwards', { ...wanted, name: 'a\u202eb' }],
    ['a relative path', fromDisk('../../etc/passwd')],
    ['an empty path', fromDisk('')],
    ['a path of ten thousand letters', fromDisk(`/${'x'.repeat(10_000)}`)],
    ['a path with a zero byte', fromDisk('/tmp/a\u0000b')],
    ['an absurd disk', { ...wanted, source: { kind: 'iso', path: '/x.iso', diskBytes: 2 ** 60 } }],
    ['nothing', {}],
  ])('with %s is refused', async (_what, guest) => {
    expect(await outcome(guest)).toBe('host.bad_input')
    expect(await stored()).toEqual([])
  })
})

describe('the disk of a new guest', () => {
  it('is refused by name when it is missing, no file, no image, cut short, or backed by a file outside', async () => {
    const at = (name: string): string => join(folder, name)
    await writeFile(at('text.qcow2'), 'These are words, not sectors.')
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', at('base.qcow2'), '8M'])
    await run('qemu-img', [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-F',
      'qcow2',
      '-b',
      at('base.qcow2'),
      at('top.qcow2'),
    ])
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'preallocation=full', at('cut.qcow2'), '8M'])
    await truncate(at('cut.qcow2'), 100)
    await symlink(at('loop'), at('loop'))
    const cases: [string, string][] = [
      ['nowhere.qcow2', 'disk.missing'],
      ['text.qcow2', 'disk.not_an_image'],
      ['top.qcow2', 'disk.backed_outside'],
      ['cut.qcow2', 'disk.truncated'],
      ['loop', 'disk.not_a_file'],
      ['', 'disk.not_a_file'],
    ]
    for (const [name, code] of cases) expect([name, await outcome(fromDisk(at(name)))]).toEqual([name, code])
    expect(await outcome(fromDisk('/dev/zero'))).toBe('disk.not_a_file')
    expect(await stored()).toEqual([])
  })

  it('may have spaces, commas, quotes, any script and `..` in its path, and be reached by a link', async () => {
    const odd = join(folder, 'my disks, "new" – 磁盘')
    await mkdir(odd)
    const path = join(odd, "it's one.img")
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '8M'])
    await symlink(path, join(folder, 'link to it'))
    expect(await outcome(fromDisk(join(odd, '..', 'link to it'), 'Größe 中'))).toBe('done')
    expect(await outcome(fromDisk(path, 'größe 中'))).toBe('guest.name_taken')
    const [guest] = (await dock.state()).guests
    await dock.client.guests.remove({ guestId: guest?.id ?? '' })
  })
})

describe('QEMU', () => {
  it('that is missing is told, and nothing is made', async () => {
    const nowhere = join(folder, 'empty')
    await mkdir(nowhere)
    const without = makeDock('b', { env: { PATH: nowhere } })
    await without.start()
    expect(await outcome(wanted, without)).toBe('qemu.missing')
    expect(await stored(without)).toEqual([])
  })

  it('that is too old is told with both versions', async () => {
    const bin = join(folder, 'old')
    await mkdir(bin)
    const greeting = {
      QMP: { version: { qemu: { major: 5, minor: 2, micro: 0 }, package: '' }, capabilities: [] },
    }
    const script = `#!/bin/sh\necho '${JSON.stringify(greeting)}'\nread line\necho '{"return":{},"id":1}'\nread line\n`
    await writeFile(join(bin, 'qemu-system-x86_64'), script)
    await chmod(join(bin, 'qemu-system-x86_64'), 0o755)
    const old = makeDock('c', { env: { PATH: bin } })
    await old.start()
    await expect(old.client.guests.create(wanted)).rejects.toMatchObject({
      code: 'qemu.too_old',
      message: expect.stringMatching(/5\.2\.0.*7\.2/),
    })
    expect(await stored(old)).toEqual([])
  })

  it('that dies at the start is told in its own words, and the guest can be tried again', async () => {
    const kernelPath = join(folder, 'no kernel')
    await writeFile(kernelPath, 'x'.repeat(9000))
    const source = { kind: 'kernel', kernelPath, initrdPath: null, commandLine: '', diskPath: null }
    const { guestId, operationId } = await dock.client.guests.create({
      ...wanted,
      name: 'Broken',
      source: source as NewGuest['source'],
    })
    if (operationId !== null) await dock.operationEnd(operationId)
    for (let round = 0; round < 2; round += 1) {
      const error = await dock.client.guests.start({ guestId }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'qemu.start_failed', detail: expect.stringContaining('kernel') })
      expect((await dock.guest(guestId))?.state.kind).toBe('failed')
    }
    expect(await dock.qemuPid(guestId)).toBeNull()
    await dock.client.guests.remove({ guestId })
  })
})

describe('a second host', () => {
  it('on the same data is refused with the first one’s process', async () => {
    const second = makeDock('a')
    await expect(second.start()).rejects.toMatchObject({
      code: 'host.already_running',
      message: expect.stringContaining(String(dock.ready.pid)),
    })
    // It is the first one's folder: not to be destroyed twice.
    docks.pop()
  })

  it('on the same port is refused, and lets go of its data', async () => {
    const { info } = await dock.state()
    const second = makeDock('d', { port: info.port })
    await expect(second.start()).rejects.toMatchObject({ code: 'host.port_in_use' })
    const third = makeDock('d')
    await third.start()
    expect((await third.state()).guests).toEqual([])
  })
})
