import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { isCode } from '../../shared/errors/index.ts'
import { MemoryStore } from '../objects/memory.ts'
import type { LentObjects } from '../objects/object-store.ts'
import { openFrame } from '../pages/frame.ts'
import { pageBytes } from '../pages/page-id.ts'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { systemRandom } from '../platform/random.ts'
import { testDefinition } from '../qemu/test-guests.ts'
import { Capture } from './capture.ts'
import { Catalog } from './catalog.ts'
import { frameKeyBytes } from './codec/frame-rows.ts'
import { ContentIds } from './content-ids.ts'
import { deriveKeys } from './keys.ts'
import type { OpenVault } from './open-vault.ts'
import { CheckpointReader } from './reader.ts'
import { prepareShare, readShare } from './share.ts'
import { encodeLink, parseLink } from './share-link.ts'
import { MemorySpool } from './testing/memory-spool.ts'
import { testSummary } from './testing/summaries.ts'
import { testDockId } from './testing/tables.ts'
import { VaultObjects } from './vault-objects.ts'

let folder: string
let store: MemoryStore
let vault: OpenVault

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wds-'))
  store = new MemoryStore()
  const { objects, frameKeyOf, pageIdKey } = deriveKeys(randomBytes(32))
  const parts = { clock: systemClock, random: systemRandom, log: silentLog }
  vault = {
    vaultId: '0'.repeat(32),
    store,
    objects: new VaultObjects(store, objects),
    frameKeyOf,
    pageIdKey,
    ...parts,
  }
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A checkpoint of a guest that consists of a file of these pages. */
async function keep(pages: readonly Buffer[]): Promise<string> {
  const bytes = Buffer.concat(pages)
  const path = join(folder, 'file')
  await writeFile(path, bytes)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const capture = await Capture.begin({
    vault,
    contents: new ContentIds(join(folder, 'contents'), silentLog),
    upload: { spool: new MemorySpool(), frames: null },
    start: {
      ...{
        captureId: '',
        guest: testDefinition(),
        byDockId: testDockId,
        byDockName: 'Desk',
        reason: 'person',
      },
      ...{ label: { name: '', note: '', pinned: false }, qemuVersion: '7.2.0', accelerator: 'tcg' },
      ...{ picturePng: null, memorySocketPath: null, bootFiles: [{ sha256, path }] },
    },
    onFirstPart: () => {},
    onRead: () => {},
  })
  await capture.complete({ atMs: 1_760_000_000_000, freezeMs: null, frozenBy: 'off' })
  return (await capture.upload.published).checkpointId
}

function lentOf(shareId: string): LentObjects {
  const kept = () => store.shares.get(shareId)?.objects ?? new Map<string, Buffer>()
  return {
    get: async (name) => kept().get(name) ?? null,
    getRange: async (name, offset, length) =>
      kept()
        .get(name)
        ?.subarray(offset, offset + length) ?? null,
    close: () => {},
  }
}

async function lend(id: string): Promise<{ lent: LentObjects; shareKey: Buffer }> {
  const shareId = systemRandom.hex(16)
  const shareKey = randomBytes(32)
  await store.lending.open(shareId, { startMs: null, endMs: null })
  await prepareShare({
    ...{ vault, lending: store.lending, frames: null, shareId, shareKey, summary: testSummary(id) },
    manifest: await new Catalog(vault).manifest(id),
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  return { lent: lentOf(shareId), shareKey }
}

const newPages = (count: number): Buffer[] => Array.from({ length: count }, () => randomBytes(pageBytes))

it('gives the holder of a link the checkpoint, and opens nothing that belongs only to another one', async () => {
  const first = newPages(70)
  await keep(first)
  // Some frames are used as a whole, others in part.
  const second = [...first.slice(0, 33), ...first.slice(50, 53), ...newPages(20)]
  const { lent, shareKey } = await lend(await keep(second))
  const { manifest } = await readShare(lent, shareKey)
  const { frames } = manifest
  const reader = new CheckpointReader(manifest, {
    ...{ store: lent, frames: null, clock: systemClock },
    frameKeyOf: () => expect.fail('a key is missing'),
  })
  const read = await reader.read(0, 0, second.length)
  reader.close()
  expect(read.equals(Buffer.concat(second))).toBe(true)

  const secret = new Set(first.filter((page) => !second.includes(page)).map((page) => page.toString('hex')))
  const opened = new Set<string>()
  const all = await everyFrame()
  for (let row = 0; row < frames.pages.length; row += 1) {
    const key = Buffer.from(frames.keys?.subarray(row * frameKeyBytes, (row + 1) * frameKeyBytes) ?? [])
    for (const { packId, ordinal, sealed, pages } of all) {
      try {
        const bytes = openFrame(key, { packId, ordinal }, sealed, pages)
        for (let at = 0; at < bytes.length; at += pageBytes)
          opened.add(bytes.toString('hex', at, at + pageBytes))
      } catch (error) {
        expect(isCode(error, 'vault.damaged_frame')).toBe(true)
      }
    }
  }
  // The frames that were sealed anew are in the share only.
  expect(opened.size).toBeGreaterThan(30)
  expect([...opened].filter((page) => secret.has(page))).toEqual([])
})

/** Every frame of every checkpoint, as it lies in the vault. */
async function everyFrame() {
  const found: { packId: Buffer; ordinal: number; sealed: Buffer; pages: number }[] = []
  const catalog = new Catalog(vault)
  for (const { id } of await catalog.list()) {
    const { frames } = await catalog.manifest(id)
    for (const [pack, name] of frames.packs.entries()) {
      const body = store.objects.get(`packs/${name}`)?.body ?? Buffer.alloc(0)
      for (let row = frames.packStart[pack] ?? 0; row < (frames.packStart[pack + 1] ?? 0); row += 1) {
        const offset = frames.offset[row] ?? 0
        const sealed = body.subarray(offset, offset + (frames.sealedBytes[row] ?? 0))
        const [ordinal, pages] = [frames.ordinal[row] ?? 0, frames.pages[row] ?? 0]
        found.push({ packId: Buffer.from(name, 'hex'), ordinal, sealed, pages })
      }
    }
  }
  return found
}

it('says that a share is being prepared, and that a key is not its key', async () => {
  const { lent, shareKey } = await lend(await keep(newPages(3)))
  const code = (expected: 'vault.bad_link' | 'vault.link_preparing') => (error: unknown) =>
    isCode(error, expected)
  await expect(readShare(lent, randomBytes(32))).rejects.toSatisfy(code('vault.bad_link'))
  await expect(readShare(lentOf('none'), shareKey)).rejects.toSatisfy(code('vault.link_preparing'))
})

it('takes a link apart as it was put together, and refuses everything else by name', () => {
  const address = 'https://a.blob.core.windows.net/wdock-share-1?si=lend&sig=a%2Bb%3D'
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const shareKey = Buffer.from(bytes)
      const link = encodeLink({ address, shareKey })
      expect(parseLink(` ${link}\n`)).toEqual({ address, shareKey })
      expect(() => parseLink(link.slice(0, -1))).toThrowError(
        expect.objectContaining({ code: 'vault.bad_link' }),
      )
    }),
    { numRuns: 50 },
  )
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(() => parseLink(text)).toThrowError(expect.objectContaining({ code: 'vault.bad_link' }))
      expect(() => parseLink(`wdock:lend?u=${text}#${text}`)).toThrowError(
        expect.objectContaining({ code: 'vault.bad_link' }),
      )
    }),
    { numRuns: 100 },
  )
})
