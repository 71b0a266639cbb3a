import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { defaultCheckpointRules } from '../../../shared/models/checkpoint.ts'
import { silentLog } from '../../platform/log.ts'
import { RuleBook } from './rules.ts'

let folder: string
const guest = (n: number) => `${n}0000000-0000-4000-8000-000000000000`
const every = (everyMinutes: number) => ({ ...defaultCheckpointRules, everyMinutes })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wr-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

it('the defaults hold until they are changed, and a change survives', async () => {
  const book = await RuleBook.open(folder, silentLog)
  expect(book.of(guest(1))).toEqual(defaultCheckpointRules)
  await book.change(guest(1), every(15))
  const next = await RuleBook.open(folder, silentLog)
  expect(next.changed).toEqual([{ guestId: guest(1), rules: every(15) }])
  expect(next.of(guest(2))).toEqual(defaultCheckpointRules)
})

it('changes of several guests at once are all kept', async () => {
  const book = await RuleBook.open(folder, silentLog)
  await Promise.all([1, 2, 3].map((n) => book.change(guest(n), every(n * 10))))
  const next = await RuleBook.open(folder, silentLog)
  expect(next.changed.map(({ rules }) => rules.everyMinutes)).toEqual([10, 20, 30])
})

it('a change that cannot be written changes nothing', async () => {
  const book = await RuleBook.open(join(folder, 'nowhere'), silentLog)
  await expect(book.change(guest(1), every(15))).rejects.toThrow()
  expect(book.of(guest(1))).toEqual(defaultCheckpointRules)
})

it('a damaged file is left as it is until a rule is changed', async () => {
  const path = join(folder, 'checkpoint-rules.json')
  await writeFile(path, '{"version": 1, "guests": 7}')
  const book = await RuleBook.open(folder, silentLog)
  expect(book.changed).toEqual([])
  expect(await readFile(path, 'utf8')).toContain('7')
})
