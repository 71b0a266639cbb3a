/** Kept pages whose files are not what was written: less is known, and nothing wrong. */
import { cpSync, readdirSync, readFileSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openKept } from './kept-pages.ts'
import {
  begun,
  blocks,
  dockKey,
  finish,
  idKey,
  inFolder,
  type Model,
  mismatches,
  putMany,
  small,
} from './testing/kept-guest.ts'

/** Two segments, three chunks. */
function makeKept(folder: string): Model {
  const model: Model = new Map()
  putManyAndFinish(folder, 'nothing', model, 0, 200, 1)
  putManyAndFinish(folder, 'known', model, 1000, 100, 1000)
  return model
}

function putManyAndFinish(
  folder: string,
  from: 'known' | 'nothing',
  model: Model,
  ...run: [number, number, number]
): void {
  const kept = begun(folder, from)
  putMany(kept, model, ...run)
  finish(kept)
}

/** Nothing wrong is known. @returns what can be read */
function expectNothingWrong(folder: string, model: Model, key = dockKey): Model {
  const kept = openKept(folder, key, small)
  kept.begin({ idKey, blocks, from: kept.known === null ? 'nothing' : 'known' })
  expect(mismatches(kept, model, 'less')).toEqual([])
  const page = Buffer.alloc(4096)
  const readable: Model = new Map([...model].filter(([address]) => kept.readInto(address, page, 0)))
  kept.discard()
  return readable
}

/** A visit can go on from there, and what could not be read is not part of it any more. */
function expectToGoOn(folder: string, readable: Model, key = dockKey): void {
  const kept = openKept(folder, key, small)
  kept.begin({ idKey, blocks, from: kept.known === null ? 'nothing' : 'known' })
  const page = Buffer.alloc(4096)
  for (let address = 0; address < kept.end; address += 1) kept.readInto(address, page, 0)
  const model: Model = new Map(readable)
  putMany(kept, model, 50, 20, 9000)
  finish(kept)
  const again = openKept(folder, key, small)
  again.begin({ idKey, blocks, from: 'known' })
  expect(mismatches(again, model)).toEqual([])
  let told = 0
  again.eachKnown((_address, _ids, pages) => {
    told += pages
  })
  expect(told).toBe(model.size)
  again.discard()
}

async function spoiling(
  spoil: (folder: string, name: string, copyNumber: number) => boolean,
): Promise<number[]> {
  const counts: number[] = []
  await inFolder((folder) => {
    const base = join(folder, 'base')
    const model = makeKept(base)
    for (const name of readdirSync(base)) {
      for (let copyNumber = 0; ; copyNumber += 1) {
        const now = join(folder, `${name} ${copyNumber}`)
        cpSync(base, now, { recursive: true })
        if (!spoil(now, name, copyNumber)) break
        const readable = expectNothingWrong(now, model)
        counts.push(readable.size)
        if (copyNumber % 3 === 0) expectToGoOn(now, readable)
      }
    }
  })
  return counts
}

describe('kept pages with damaged files', () => {
  it('know less, and nothing wrong, when any byte is another one', async () => {
    const counts = await spoiling((folder, name, copyNumber) => {
      const bytes = readFileSync(join(folder, name))
      // All of the table's start; of the rest some, up to the last.
      const start = name === 'table' ? 40 : 0
      const some = copyNumber - start
      const place = some < 0 ? copyNumber : Math.floor((some * (bytes.length - 1)) / 15)
      if (some > 15) return false
      bytes.writeUInt8(bytes.readUInt8(place) ^ (1 << (copyNumber % 8)), place)
      writeFileSync(join(folder, name), bytes)
      return true
    })
    expect(counts.length).toBeGreaterThan(120)
    expect([Math.min(...counts), Math.max(...counts)]).toEqual([0, 300])
    expect(counts).toContain(300 - 64)
  }, 60_000)

  it('know less, and nothing wrong, when a file is cut off, too long, or gone', async () => {
    const counts = await spoiling((folder, name, copyNumber) => {
      const path = join(folder, name)
      const { size } = statSync(path)
      const lengths = [0, 1, Math.floor(size / 2), size - 16, size - 1, size + 1, size + 300_000]
      const length = lengths[copyNumber]
      if (length !== undefined) truncateSync(path, Math.max(0, length))
      else if (copyNumber === lengths.length) renameSync(path, join(folder, '..', `gone ${name}`))
      else return false
      return true
    })
    expect([Math.min(...counts), Math.max(...counts)]).toEqual([0, 300])
    expect(counts).toContain(300 - 128)
  }, 60_000)

  it('know nothing wrong when files have changed places', async () => {
    await inFolder((folder) => {
      const [one, other] = [join(folder, 'one'), join(folder, 'other')]
      const model = makeKept(one)
      const otherModel: Model = new Map()
      putManyAndFinish(other, 'nothing', otherModel, 0, 200, 5000)
      const segments = readdirSync(one).filter((name) => name.endsWith('.seg'))
      const [first = '', second = ''] = segments
      const swaps: [string, string][] = [
        [join(one, first), join(one, second)],
        [join(one, 'table'), join(other, 'table')],
        [join(one, 'salt'), join(other, 'salt')],
      ]
      for (const [index, [a, b]] of swaps.entries()) {
        const bytes = [readFileSync(a), readFileSync(b)] as const
        writeFileSync(a, bytes[1])
        writeFileSync(b, bytes[0])
        const now = join(folder, `copy ${index}`)
        cpSync(one, now, { recursive: true })
        const readable = expectNothingWrong(now, model)
        expect(readable.size).toBeLessThan(index === 0 ? 200 : 1)
        expectToGoOn(now, readable)
        writeFileSync(a, bytes[0])
        writeFileSync(b, bytes[1])
      }
    })
  })

  it('know nothing with another dock’s key, and leave what is there until a visit is finished', async () => {
    await inFolder((folder) => {
      const model = makeKept(folder)
      const other = Buffer.alloc(32, 1)
      const kept = openKept(folder, other, small)
      expect(kept.known).toBeNull()
      kept.begin({ idKey, blocks, from: 'nothing' })
      putMany(kept, new Map(), 0, 100, 1)
      kept.discard()
      expect(begun(folder, 'known').known).not.toBeNull()
      expect(expectNothingWrong(folder, model, other).size).toBe(0)
      expectToGoOn(folder, new Map(), other)
      expect(readdirSync(folder).filter((name) => name.endsWith('.seg')).length).toBe(1)
    })
  })

  it('know nothing of another version', async () => {
    await inFolder((folder) => {
      const model = makeKept(folder)
      const table = readFileSync(join(folder, 'table'))
      table.writeUInt32LE(2, 4)
      writeFileSync(join(folder, 'table'), table)
      expect(expectNothingWrong(folder, model).size).toBe(0)
      expectToGoOn(folder, new Map())
    })
  })
})
