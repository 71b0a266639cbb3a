/**
 * The Chromium behind the stand-in's windows: one for the process, with a profile of its own, started with the
 * first window. Playwright in the test attaches to the same pages over the debugging port.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type BrowserContext, chromium } from '@playwright/test'
import { chromiumOptions } from '../chromium-options.ts'
import { atExit, profileDir } from './app.ts'

export interface StandInBrowser {
  context: BrowserContext
  /** For `connectOverCDP`. */
  cdpUrl: string
}

let browser: Promise<StandInBrowser> | null = null

export function theBrowser(): Promise<StandInBrowser> {
  browser ??= launch()
  return browser
}

async function launch(): Promise<StandInBrowser> {
  const profile = profileDir()
  const base = chromiumOptions()
  const context = await chromium.launchPersistentContext(profile, {
    ...base,
    viewport: null,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    args: [...(base.args ?? []), '--remote-debugging-port=0', '--window-size=1180,780'],
  })
  atExit.unshift(() => context.close())
  return { context, cdpUrl: `http://127.0.0.1:${await debuggingPort(profile)}` }
}

async function debuggingPort(profile: string): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const text = await readFile(join(profile, 'DevToolsActivePort'), 'utf8').catch(() => '')
    const port = Number.parseInt(text, 10)
    if (port > 0) return port
    await wait(50)
  }
  throw new Error('Chromium opened no debugging port')
}
