/**
 * The app under the stand-in, as a test holds it: the compiled main module as a child process, its page, and
 * the desktop around it. Promises that nothing of it is left after `close`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Browser, chromium, type Page } from '@playwright/test'
import type { DesktopRecord, Poke, StandInMessage, TestMessage } from './stand-in/desktop-log.ts'

const root = resolve(import.meta.dirname, '..')
const startTimeoutMs = 30_000
const endTimeoutMs = 15_000

export interface StandInApp {
  page: Page
  process: ChildProcess
  /** What the app did to the desktop so far. */
  desktop(): Promise<DesktopRecord>
  /** Does something as the desktop would. @returns the desktop after it */
  poke(poke: Poke): Promise<DesktopRecord>
  /** Quits the app in order and waits for its end. @returns the exit code; null when it had to be killed */
  close(): Promise<number | null>
}

export interface StandInOptions {
  env: NodeJS.ProcessEnv
  /** Arguments after the main module, as a link. */
  argv?: readonly string[]
  /** The compiled program. Default `dist` of the project. */
  distDir?: string
}

/** Starts it and waits until its window is shown: nobody closes or clicks what they do not see. */
export async function openStandIn(options: StandInOptions): Promise<StandInApp> {
  const child = startStandIn(options)
  try {
    const cdpUrl = await pageAddress(child)
    const browser = await chromium.connectOverCDP(cdpUrl)
    const app = standInApp(child, browser, await firstPage(browser))
    await windowShown(app)
    return app
  } catch (error) {
    await endProcess(child)
    throw error
  }
}

/** Starts it without waiting for a window: a second instance has none. */
export function startStandIn(options: StandInOptions): ChildProcess {
  const main = join(options.distDir ?? join(root, 'dist'), 'main.mjs')
  const register = join(import.meta.dirname, 'stand-in/register.ts')
  return spawn(process.execPath, ['--import', register, main, ...(options.argv ?? [])], {
    cwd: root,
    env: options.env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

function pageAddress(child: ChildProcess): Promise<string> {
  return new Promise((done, reject) => {
    const timer = setTimeout(() => reject(new Error('the stand-in opened no window')), startTimeoutMs)
    child.once('exit', (code) => reject(new Error(`the stand-in ended with ${code}`)))
    child.once('error', reject)
    child.on('message', (message: StandInMessage) => {
      if (message.kind !== 'page') return
      clearTimeout(timer)
      done(message.cdpUrl)
    })
  })
}

async function firstPage(browser: Browser): Promise<Page> {
  const [context] = browser.contexts()
  const page = context?.pages()[0]
  if (page === undefined) throw new Error('the stand-in has no page')
  await page.waitForURL((url) => url.protocol !== 'about:')
  return page
}

async function windowShown(app: StandInApp): Promise<void> {
  for (const endMs = performance.now() + startTimeoutMs; ; await wait(20)) {
    if ((await app.desktop()).windows.some(({ visible }) => visible)) return
    if (performance.now() > endMs) throw new Error('the stand-in showed no window')
  }
}

function standInApp(child: ChildProcess, browser: Browser, page: Page): StandInApp {
  let lastId = 0
  type Question = { ask: 'record' } | { ask: 'poke'; poke: Poke }
  const ask = (question: Question): Promise<DesktopRecord> => {
    lastId += 1
    const message: TestMessage = { id: lastId, ...question }
    return new Promise((done, reject) => {
      const settle = (): void => {
        child.off('message', listen)
        child.off('exit', ended)
      }
      const ended = (): void => {
        settle()
        reject(new Error('the app has ended'))
      }
      const listen = (answer: StandInMessage): void => {
        if (answer.kind !== 'answer' || answer.id !== message.id) return
        settle()
        if (answer.record === null) reject(new Error(answer.error ?? 'no answer'))
        else done(answer.record)
      }
      child.on('message', listen)
      child.once('exit', ended)
      child.send(message)
    })
  }
  return {
    page,
    process: child,
    desktop: () => ask({ ask: 'record' }),
    poke: (poke) => ask({ ask: 'poke', poke }),
    close: async () => {
      const code = await endProcess(child)
      await browser.close()
      return code
    },
  }
}

/** SIGTERM is how a session ends an app; it quits in order. */
export async function endProcess(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const ended = new Promise<number | null>((done) => child.once('exit', done))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), endTimeoutMs)
  const code = await ended
  clearTimeout(timer)
  return code
}
