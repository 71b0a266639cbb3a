import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withBuildLock } from './lock.ts'
import { publish } from './publish.ts'
import { isFresh, sourcesHash, writeStamp } from './stamp.mjs'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wdock-build-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function put(path: string, content: string): void {
  mkdirSync(join(root, path, '..'), { recursive: true })
  writeFileSync(join(root, path), content)
}

describe('the stamp', () => {
  const dist = () => join(root, 'dist')

  beforeEach(() => {
    put('electron/main.ts', 'one')
    put('dist/main.mjs', 'built')
    writeStamp(dist(), sourcesHash(root), ['main.mjs'])
  })

  it('holds while nothing has changed, and when only tests and prose have', () => {
    put('electron/main.test.ts', 'test')
    put('electron/NOTES.md', 'prose')
    expect(isFresh(dist(), sourcesHash(root))).toBe(true)
  })

  it.each([
    ['a source changes', () => put('electron/main.ts', 'two')],
    ['a source is added', () => put('shared/new.ts', '')],
    ['a source is renamed', () => renameSync(join(root, 'electron/main.ts'), join(root, 'electron/mein.ts'))],
    ['the lock file changes', () => put('package-lock.json', '{}')],
    ['something built is missing', () => rmSync(join(root, 'dist/main.mjs'))],
    ['the stamp is damaged', () => put('dist/.stamp', '{')],
  ])('is void when %s', (_what, change) => {
    change()
    expect(isFresh(dist(), sourcesHash(root))).toBe(false)
  })
})

it('publishing replaces what is new and removes what is gone', () => {
  put('fresh/main.mjs', 'new')
  put('fresh/renderer/assets/a.js', 'a')
  put('dist/main.mjs', 'old')
  put('dist/chunk-gone.mjs', 'old')
  expect(publish(join(root, 'fresh'), join(root, 'dist'))).toEqual(['main.mjs', 'renderer/assets/a.js'])
  expect(readFileSync(join(root, 'dist/main.mjs'), 'utf8')).toBe('new')
  expect(existsSync(join(root, 'dist/chunk-gone.mjs'))).toBe(false)
})

describe('the build lock', () => {
  it('lets one work at a time, in one process or several', async () => {
    const lock = join(root, 'build.lock')
    const module = join(import.meta.dirname, 'lock.ts')
    const code = `
      const { withBuildLock } = await import(${JSON.stringify(module)})
      const { appendFileSync } = await import('node:fs')
      const say = (word) => appendFileSync(${JSON.stringify(join(root, 'log'))}, word)
      await withBuildLock(${JSON.stringify(lock)}, async () => {
        say('(')
        await new Promise((resolve) => setTimeout(resolve, 50))
        say(')')
      })`
    const children = [1, 2, 3].map(
      () =>
        new Promise((resolve) => {
          const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' })
          child.once('exit', resolve)
        }),
    )
    expect(await Promise.all(children)).toEqual([0, 0, 0])
    expect(readFileSync(join(root, 'log'), 'utf8')).toBe('()()()')
    expect(readdirSync(root)).toEqual(['log'])
  })

  it('is taken over from a build that died', async () => {
    const child = spawn('true')
    await new Promise((resolve) => child.once('exit', resolve))
    put('build.lock', String(child.pid))
    let worked = false
    await withBuildLock(join(root, 'build.lock'), async () => {
      await wait(1)
      worked = true
    })
    expect(worked).toBe(true)
    expect(readdirSync(root)).toEqual([])
  })

  it('is given back when the build fails', async () => {
    const failing = withBuildLock(join(root, 'build.lock'), () => Promise.reject(new Error('broken')))
    await expect(failing).rejects.toThrow('broken')
    expect(readdirSync(root)).toEqual([])
  })
})
