import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { packOneFile, readAsar } from './asar.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wdock-asar-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

it('reads what it packed', () => {
  const archive = join(dir, 'a.asar')
  writeFileSync(archive, packOneFile('hello.txt', 'héllo'))
  expect(readAsar(archive).map(({ path, content }) => [path, content.toString()])).toEqual([
    ['hello.txt', 'héllo'],
  ])
})

it('refuses names that lead out of the archive', () => {
  const archive = join(dir, 'a.asar')
  for (const name of ['..', '../x', 'a/b']) {
    writeFileSync(archive, packOneFile(name, 'x'))
    expect(() => readAsar(archive)).toThrow()
  }
})
