import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { findBrowser, openOwnWindow, openWindow } from './open-window.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wdock-window-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** A program that writes its pid and its arguments down and stays for a while, as a browser would. */
function fakeBrowser(): string {
  const path = join(root, 'chromium')
  writeFileSync(
    path,
    `#!/bin/sh\necho $$ > '${root}/pid'\nprintf '%s\\n' "$@" > '${root}/args.tmp'\nmv '${root}/args.tmp' '${root}/args'\nexec sleep 20\n`,
  )
  chmodSync(path, 0o755)
  return path
}

async function shownArguments(): Promise<string[]> {
  await expect.poll(() => readFileSync(join(root, 'args'), 'utf8'), { timeout: 5000 }).not.toBe('')
  return readFileSync(join(root, 'args'), 'utf8').trim().split('\n')
}

/** The installed program outlives whoever opens its window: a test has to end it itself. */
async function argumentsOfOwnWindow(program: string): Promise<string[]> {
  await openOwnWindow({ program, link: 'wdock:history', url, env: environment() })
  const args = await shownArguments()
  process.kill(Number(readFileSync(join(root, 'pid'), 'utf8')))
  return args
}

const url = 'http://127.0.0.1:4711/#token=secret'
const environment = () => ({ DISPLAY: ':9', PATH: `${root}:/usr/bin:/bin` })

it('opens the page in an app window with a profile of our own, and closes it', async () => {
  fakeBrowser()
  const window = await openWindow({ url, profileRoot: root, env: environment(), detached: false })
  const args = await shownArguments()
  expect(args).toContain(`--app=${url}`)
  expect(args).toContain(`--user-data-dir=${join(root, 'browser')}`)
  window.close()
  await window.closed
})

it('leaves a profile alone that another window holds', async () => {
  fakeBrowser()
  mkdirSync(join(root, 'browser'))
  symlinkSync(`${hostname()}-${process.pid}`, join(root, 'browser', 'SingletonLock'))
  const window = await openWindow({ url, profileRoot: root, env: environment(), detached: false })
  expect(await shownArguments()).toContain(`--user-data-dir=${join(root, 'browser-2')}`)
  window.close()
  await window.closed
})

it('says that there is no display, or no browser, and where to look', async () => {
  const options = { url, profileRoot: root, detached: false }
  await expect(openWindow({ ...options, env: {} })).rejects.toMatchObject({ code: 'command.no_display' })
  await expect(openWindow({ ...options, env: { DISPLAY: ':9', PATH: root } })).rejects.toMatchObject({
    code: 'command.no_browser',
    fix: expect.stringContaining(url),
  })
})

it('starts the window of an installed program on a view, where there is a display', async () => {
  const program = fakeBrowser()
  const window = { program, link: 'wdock:history', url }
  await expect(openOwnWindow({ ...window, env: {} })).rejects.toMatchObject({ code: 'command.no_display' })
  expect(await argumentsOfOwnWindow(program)).toContain('wdock:history')
})

it('uses the browser that a person names', () => {
  const path = fakeBrowser()
  expect(findBrowser({ PATH: '/nowhere', WDOCK_BROWSER: path })).toBe(path)
  expect(findBrowser({ PATH: root })).toBe(path)
  expect(findBrowser({ PATH: '/nowhere' })).toBeNull()
})

/** What the browser and the installed program are started with by a user. */
async function argumentsOf(userId: number): Promise<string[][]> {
  const user = vi.spyOn(process, 'getuid').mockReturnValue(userId)
  try {
    const program = fakeBrowser()
    const window = await openWindow({ url, profileRoot: root, env: environment(), detached: false })
    const browser = await shownArguments()
    window.close()
    await window.closed
    rmSync(join(root, 'args'))
    return [browser, await argumentsOfOwnWindow(program)]
  } finally {
    user.mockRestore()
  }
}

it('never gives up the sandbox for a normal user', async () => {
  for (const args of await argumentsOf(1000)) {
    expect(args).not.toContain('--no-sandbox')
    expect(args).not.toContain('--test-type')
  }
})

it('gives up the sandbox for root, who has no other choice', async () => {
  const [browser, own] = await argumentsOf(0)
  expect(browser).toEqual(expect.arrayContaining(['--no-sandbox', '--test-type']))
  expect(own).toEqual(['--no-sandbox', 'wdock:history'])
})
