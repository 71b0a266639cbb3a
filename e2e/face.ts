/**
 * Opens one of the app's windows for a flow, the same for every face: the page in a browser over the headless
 * host, the window of the compiled Electron program under the stand-in, and genuine Electron where its binary
 * is. Promises that `close` ends the host too and leaves nothing running; guests are the caller's.
 */
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium, _electron as electron, type Page } from '@playwright/test'
import { z } from 'zod'
import { sandboxArguments } from '../electron/browser/sandbox.ts'
import { findElectron } from '../scripts/lib/electron-binary.ts'
import { chromiumOptions } from './chromium-options.ts'
import { endProcess, openStandIn } from './stand-in-client.ts'

export type FaceKind = 'browser' | 'stand-in' | 'electron'

export interface FaceOptions {
  kind: FaceKind
  /** `WDOCK_HOME` names the folder of this dock; the rest as for any start. */
  env: NodeJS.ProcessEnv
}

export interface Face {
  page: Page
  /** The process that runs the host. */
  pid: number
  close(): Promise<void>
}

const root = resolve(import.meta.dirname, '..')
const readyTimeoutMs = 30_000
const readyLine = z.object({ ready: z.literal(true), pageUrl: z.string(), pid: z.number() })

export function openFace(options: FaceOptions): Promise<Face> {
  switch (options.kind) {
    case 'browser':
      return openInBrowser(options.env)
    case 'stand-in':
      return openInStandIn(options.env)
    case 'electron':
      return openInElectron(options.env)
  }
}

async function openInBrowser(env: NodeJS.ProcessEnv): Promise<Face> {
  const child = spawn(process.execPath, [join(root, 'dist/headless.mjs'), '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const { pageUrl, pid } = await firstLine(child.stdout, child)
    const browser = await chromium.launch(chromiumOptions())
    const page = await browser.newPage({ viewport: { width: 1180, height: 780 } })
    await page.goto(pageUrl)
    return {
      page,
      pid,
      close: async () => {
        await browser.close()
        await endProcess(child)
      },
    }
  } catch (error) {
    await endProcess(child)
    throw error
  }
}

function firstLine(
  stdout: NodeJS.ReadableStream,
  child: ReturnType<typeof spawn>,
): Promise<z.infer<typeof readyLine>> {
  return new Promise((done, reject) => {
    const timer = setTimeout(() => reject(new Error('the host did not get ready')), readyTimeoutMs)
    child.once('exit', (code) => reject(new Error(`the host ended with ${code}`)))
    createInterface({ input: stdout }).once('line', (line) => {
      clearTimeout(timer)
      const parsed = readyLine.safeParse(JSON.parse(line))
      if (parsed.success) done(parsed.data)
      else reject(new Error(`the host said: ${line}`))
    })
  })
}

async function openInStandIn(env: NodeJS.ProcessEnv): Promise<Face> {
  const app = await openStandIn({ env })
  return {
    page: app.page,
    pid: app.process.pid ?? 0,
    close: async () => {
      await app.close()
    },
  }
}

async function openInElectron(env: NodeJS.ProcessEnv): Promise<Face> {
  const executablePath = findElectron()
  if (executablePath === null) throw new Error("Electron's binary is not installed here")
  const given = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const app = await electron.launch({
    executablePath,
    args: [...sandboxArguments(), root],
    env: Object.fromEntries(given),
  })
  const page = await app.firstWindow()
  const pid = app.process().pid ?? 0
  return { page, pid, close: () => app.close() }
}
