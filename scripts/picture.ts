/**
 * Takes the README's picture: the desk of This PC while a real guest moves here from Laptop over a link of
 * 100 Mbit/s. `node scripts/picture.ts` writes assets/screenshots/desk.png; run it as a user who may make network
 * namespaces.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium } from '@playwright/test'
import { chromiumOptions } from '../e2e/chromium-options.ts'
import { DockProcess, makeDocksFolder, makePairedDocks } from '../electron/testing/dock-process.ts'
import { createNamespacePair } from '../electron/testing/namespaces.ts'

const root = join(import.meta.dirname, '..')
const entry = join(root, 'dist', 'headless.mjs')

const pair = await createNamespacePair()
const folder = await makeDocksFolder()
const common = { port: 47_315, discovery: false, entry }
const laptop = new DockProcess({
  ...common,
  home: join(folder, 'a'),
  name: 'Laptop',
  namespace: pair.a.name,
  bindAddress: pair.a.address,
})
const pc = new DockProcess({
  ...common,
  home: join(folder, 'b'),
  name: 'This PC',
  namespace: pair.b.name,
  bindAddress: pair.b.address,
})
const browser = await chromium.launch(chromiumOptions())
try {
  await makePairedDocks(laptop, pc)
  await Promise.all([laptop.start(), pc.start()])
  const guestId = await laptop.startDemoGuest('Workshop')
  await pair.shape(100_000_000)
  const page = await browser.newPage({ viewport: { width: 1180, height: 600 }, deviceScaleFactor: 2 })
  await page.goto(pc.ready.pageUrl)
  await page.getByRole('button', { name: 'Migrate to this PC' }).click()
  await pc.until('the middle of the move', ({ operations }) =>
    operations.some(
      ({ progress, work }) =>
        work.kind === 'migration' &&
        work.phase === 'copying-memory' &&
        progress.totalBytes !== null &&
        progress.doneBytes > 0.45 * progress.totalBytes,
    ),
  )
  await page.screenshot({ path: join(root, 'assets', 'screenshots', 'desk.png') })
  process.stdout.write(`The picture of ${guestId} is in assets/screenshots/desk.png\n`)
} finally {
  await browser.close()
  await Promise.allSettled([laptop.destroy(), pc.destroy()])
  await pair.destroy()
  await rm(folder, { recursive: true, force: true })
}
