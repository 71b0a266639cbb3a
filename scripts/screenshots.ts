/**
 * Takes pictures of every view over its fixtures: `node scripts/screenshots.ts [--out folder] [--only name,…]
 * [--theme light|dark] [--size wide|narrow]`. Builds the fixtures' page, serves it on loopback to Debian's Chromium, and where
 * QEMU is installed starts a machine whose screen the guest page shows. Ends what it started.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Browser, chromium, type Page } from '@playwright/test'
import { build, preview } from 'vite'
import { chromiumOptions } from '../e2e/chromium-options.ts'
import { scenarios } from '../renderer/fixtures/scenarios.ts'
import { checkpointShots } from './lib/checkpoint-shots.ts'
import { press, type Shot } from './lib/shots.ts'

const sizes = { wide: { width: 1280, height: 800 }, narrow: { width: 420, height: 800 } } as const
const screenPort = 15_987

const shots: Shot[] = [
  ...Object.keys(scenarios).map((scenario) => ({ scenario })),
  {
    scenario: 'elsewhere',
    step: {
      name: 'pointed',
      act: (page) => page.getByRole('button', { name: 'Migrate to this PC' }).first().hover(),
    },
  },
  {
    scenario: 'blocked',
    step: {
      name: 'explained',
      act: (page) => page.getByRole('button', { name: 'Migrate to this PC' }).click(),
    },
  },
  {
    scenario: 'missed-alone',
    step: {
      name: 'explained',
      act: (page) => page.getByRole('button', { name: 'Try again' }).click(),
    },
  },
  {
    scenario: 'one-here',
    step: { name: 'menu', act: (page) => page.getByRole('button', { name: 'More for Workshop' }).click() },
  },
  {
    scenario: 'unsettled-page',
    step: { name: 'asked', act: (page) => page.getByRole('button', { name: 'Run it here anyway…' }).click() },
  },
  { scenario: 'new', step: { name: 'complaints', act: complain } },
  { scenario: 'new', step: { name: 'files', act: browseFiles } },
  { scenario: 'offline', step: { name: 'address', act: addAddress } },
  {
    scenario: 'details',
    step: { name: 'rename', act: (page) => page.getByRole('button', { name: 'Rename…' }).click() },
  },
  { scenario: 'elsewhere', step: { name: 'deleted', act: deleteGuest } },
  {
    scenario: 'kept-ready-there',
    step: {
      name: 'menu',
      act: (page) => page.getByRole('button', { name: 'More for the PC Laptop' }).click(),
    },
  },
  { scenario: 'settings-kept', step: { name: 'forgot', act: forgetOne } },
  { scenario: 'settings-kept', step: { name: 'forget-all', act: (page) => press(page, 'Forget all…') } },
  ...checkpointShots,
]

async function complain(page: Page): Promise<void> {
  await page.getByRole('radio', { name: 'Linux kernel' }).click()
  await page.getByRole('button', { name: 'Create guest' }).click()
}

async function browseFiles(page: Page): Promise<void> {
  await page.getByRole('radio', { name: 'Disk image' }).click()
  await page.getByRole('button', { name: 'Choose: Disk image' }).click()
  await page.getByRole('button', { name: 'Disks' }).click()
  await page.getByText('mail server.qcow2').waitFor()
}

async function addAddress(page: Page): Promise<void> {
  await page.getByLabel('Add a PC by address').fill('192.168.7.9')
  await page.getByRole('button', { name: 'Add', exact: true }).click()
  await page.getByText('cannot be reached').waitFor()
}

async function deleteGuest(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'More for Mail' }).click()
  await page.getByRole('menuitem', { name: 'Delete…' }).click()
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByText('Its disk is in the trash').waitFor()
}

async function forgetOne(page: Page): Promise<void> {
  await press(page, 'Forget the memory of Workshop')
  await page.getByText('Forgot the memory of Workshop').waitFor()
}

function startScreen(): ChildProcess | null {
  const child = spawn(
    'qemu-system-x86_64',
    [
      '-accel',
      'tcg',
      '-m',
      '32',
      '-nodefaults',
      '-vga',
      'std',
      '-display',
      'none',
      '-vnc',
      `127.0.0.1:87,websocket=${screenPort}`,
    ],
    { stdio: 'ignore' },
  )
  child.on('error', () =>
    console.log('QEMU is not installed here: the guest page is shown without a screen.'),
  )
  return child
}

interface Look {
  theme: 'light' | 'dark'
  size: keyof typeof sizes
}

interface Studio {
  base: string
  out: string
}

/** One look shares one browser context, so that the server's modules are fetched once. */
async function takeAll(browser: Browser, studio: Studio, look: Look, wanted: readonly Shot[]): Promise<void> {
  const context = await browser.newContext({ viewport: sizes[look.size], reducedMotion: 'reduce' })
  for (const shot of wanted) {
    const page = await context.newPage()
    await take(page, studio, look, shot)
    await page.close()
  }
  await context.close()
}

async function take(page: Page, { base, out }: Studio, { theme, size }: Look, shot: Shot): Promise<void> {
  page.on('pageerror', (error) => console.log(`${shot.scenario}: ${error.message}`))
  page.on(
    'console',
    (message) => message.type() === 'error' && console.log(`${shot.scenario}: ${message.text()}`),
  )
  const query = new URLSearchParams({
    fixture: shot.scenario,
    theme,
    screen: `ws://127.0.0.1:${screenPort}/`,
  })
  await page.goto(`${base}fixtures.html?${query}`)
  await page.getByRole('main').waitFor()
  await shot.step?.act(page)
  await page.waitForTimeout(shot.scenario === 'screen' ? 2500 : 350)
  const name = [shot.scenario, shot.step?.name, size, theme].filter((part) => part !== undefined).join('-')
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
  if (overflow > 0) console.log(`${name}: wider than the window by ${overflow} pixels`)
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: shot.step === undefined })
}

function looks(theme: string | undefined, size: string | undefined): Look[] {
  const all: Look[] = [
    { theme: 'light', size: 'wide' },
    { theme: 'dark', size: 'wide' },
    { theme: 'light', size: 'narrow' },
    { theme: 'dark', size: 'narrow' },
  ]
  return all.filter((look) => (theme ?? look.theme) === look.theme && (size ?? look.size) === look.size)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      only: { type: 'string' },
      theme: { type: 'string' },
      size: { type: 'string' },
    },
  })
  const out = values.out ?? (await mkdtemp(join(tmpdir(), 'wdock-pictures-')))
  await mkdir(out, { recursive: true })
  const only = values.only?.split(',')
  const wanted = shots.filter((shot) => only === undefined || only.includes(shot.scenario))
  const built = await mkdtemp(join(tmpdir(), 'wdock-fixtures-'))
  await build({
    logLevel: 'error',
    build: { outDir: built, rolldownOptions: { input: 'renderer/fixtures.html' } },
  })
  const server = await preview({
    logLevel: 'error',
    build: { outDir: built },
    preview: { host: '127.0.0.1', port: 0 },
  })
  const base = server.resolvedUrls?.local[0] ?? ''
  const browser = await chromium.launch(chromiumOptions())
  const screen = startScreen()
  try {
    for (const look of looks(values.theme, values.size)) await takeAll(browser, { base, out }, look, wanted)
  } finally {
    screen?.kill()
    await browser.close()
    await server.close()
    await rm(built, { recursive: true, force: true })
  }
  console.log(`The pictures are in ${out}`)
}

await main()
