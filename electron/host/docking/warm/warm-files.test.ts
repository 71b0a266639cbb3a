import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { bootFile, layerId } from '../../../../shared/models/guest-definition.ts'
import { LayerStore } from '../../../disk/layers.ts'
import { silentLog } from '../../../platform/log.ts'
import { systemRandom } from '../../../platform/random.ts'
import { testDefinition } from '../../../qemu/test-guests.ts'
import { BootFileStore } from '../../guests/boot-files.ts'
import type { LocalGuest } from '../../guests/local-guest.ts'
import { WarmFiles } from './warm-files.ts'

const [first, second] = ['0b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11', '1b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11']
const dock = 'a'.repeat(52)
const [base, other] = [layerId.parse(`l${'0'.repeat(32)}`), layerId.parse(`l${'1'.repeat(32)}`)]
const kernel = bootFile.parse('c'.repeat(64))

let dataDir: string
let guests: Pick<LocalGuest, 'definition'>[]

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'wdock-warm-'))
  guests = []
  await Promise.all(['layers', 'boot'].map((name) => mkdir(join(dataDir, name))))
  for (const id of [base, other]) await writeFile(join(dataDir, 'layers', `${id}.qcow2`), 'x')
  await writeFile(join(dataDir, 'layers', `${base}.partial`), 'x')
  await writeFile(join(dataDir, 'boot', kernel), 'x')
})
afterEach(async () => await rm(dataDir, { recursive: true, force: true }))

async function open(): Promise<WarmFiles> {
  const list = (): LocalGuest[] => guests as LocalGuest[]
  const bootFiles = new BootFileStore(dataDir, systemRandom)
  const options = { dataDir, guests: { list }, layers: new LayerStore(dataDir), bootFiles, log: silentLog }
  return await WarmFiles.open(options)
}

async function left(): Promise<string[]> {
  return (await Promise.all(['layers', 'boot'].map((name) => readdir(join(dataDir, name))))).flat().sort()
}

const all = { fromDockId: dock, layers: [base, other], bootFiles: [kernel] }

it('removes what was brought, whole or in part, also after the host was started anew', async () => {
  await (await open()).expect({ guestId: first, ...all })
  const files = await open()
  expect(await files.forget(({ guestId }) => guestId === second)).toEqual([])
  expect(await files.forget(({ guestId }) => guestId === first)).toMatchObject([{ guestId: first }])
  expect(await left()).toEqual([])
  expect((await open()).list).toEqual([])
})

it('leaves what another guest that is kept ready needs, or one that stands here', async () => {
  const files = await open()
  await files.expect({ guestId: first, ...all })
  await files.expect({ guestId: second, fromDockId: dock, layers: [other], bootFiles: [] })
  const disk = { nodeName: 'disk0', layers: [base], top: other, virtualSizeBytes: 2 ** 20 }
  guests = [{ definition: testDefinition({ disks: [disk] }) }]
  await files.forget(({ guestId }) => guestId === first)
  expect(await left()).toEqual([`${base}.partial`, `${base}.qcow2`, `${other}.qcow2`])
})

it('adds what comes later to what came before', async () => {
  const files = await open()
  await files.expect({ guestId: first, fromDockId: dock, layers: [base], bootFiles: [] })
  await files.expect({ guestId: first, fromDockId: dock, layers: [other], bootFiles: [kernel] })
  expect(files.list).toEqual([{ guestId: first, ...all }])
})
