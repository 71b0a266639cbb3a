/**
 * The way of a person through the first day: pair, make a guest, bring it here, use it, send it back, change one's
 * mind, be told why not, pull the cable, lose the power. One story on two docks: each test goes on where the one
 * before ended.
 */
import type { Locator, Page } from '@playwright/test'
import { expect, test } from '../fixtures.ts'
import { askGuest, desk, guestOn, keepPictures } from '../on-screen.ts'
import { TwoDocks } from '../two-docks.ts'

test.describe.configure({ mode: 'serial' })

let docks: TwoDocks
let guestId: string
let boot: string

/** Enough to stand out of the page cache's own moves, little to carry afterwards. */
const typedFillMebibytes = 16

test.beforeAll(async ({ faceKind }) => {
  docks = await TwoDocks.open(faceKind)
})

test.afterAll(async () => {
  await docks?.destroy()
})

test.afterEach(() => keepPictures(docks))

/** The card of a guest that was to come to this PC and did not. */
function missedOn(page: Page): Locator {
  return desk(page, 'This PC').getByRole('article', { name: 'Workshop did not come', exact: true })
}

function pairingWith(page: Page, name: string): Locator {
  return page.getByRole('region', { name: `Pairing with ${name}`, exact: true })
}

/** Opens the guest's screen in the window of This PC, sees a picture and types; the guest runs what was typed. */
async function useScreenOf(deskName: 'This PC' | 'Laptop'): Promise<void> {
  const { page } = docks
  const runsOn = deskName === 'Laptop' ? docks.laptop : docks.pc
  await guestOn(page, deskName).getByRole('link', { name: 'Open Workshop' }).click()
  const canvas = page.getByRole('application', { name: 'Screen of Workshop' }).locator('canvas')
  await expect(canvas).toBeVisible()
  await expect.poll(() => brightPixels(canvas), { timeout: 15_000 }).toBeGreaterThan(500)
  const freeBefore = await freeKibibytes(runsOn)
  await canvas.click()
  await page.keyboard.type(`fill ${typedFillMebibytes}\n`, { delay: 30 })
  // The memory that the guest was told to fill is gone.
  await expect
    .poll(async () => freeBefore - (await freeKibibytes(runsOn)), { timeout: 15_000 })
    .toBeGreaterThan(typedFillMebibytes * 1000)
  await page.goBack()
}

async function codeOf(page: Page): Promise<string> {
  return (await page.getByRole('img', { name: /^Code \d/ }).getAttribute('aria-label')) ?? ''
}

/** What the guest calls available memory. */
async function freeKibibytes(dock: TwoDocks['laptop']): Promise<number> {
  const witness = await dock.witness(guestId)
  try {
    return Number(/^free (\d+)/.exec(await witness.ask('free'))?.[1])
  } finally {
    witness.close()
  }
}

async function sendFromMenu(page: Page, to: string): Promise<void> {
  await page.getByRole('button', { name: 'More for Workshop' }).click()
  await page.getByRole('menuitem', { name: `Send to ${to}`, exact: true }).click()
}

test('two PCs that see each other pair by comparing six digits', async () => {
  const { page, laptopPage, pair } = docks
  if (pair === null) {
    test.info().annotations.push({ type: 'one address', description: 'namespaces are not allowed here' })
    await page.getByLabel('Add a PC by address').fill(docks.laptopAddress)
    await page.getByRole('button', { name: 'Add' }).click()
  }
  await desk(page, 'Laptop').getByRole('button', { name: 'Pair' }).click()
  await expect(laptopPage.getByRole('heading', { name: 'This PC asks to pair with this PC' })).toBeVisible()
  await expect(page.getByRole('img', { name: /^Code \d/ })).toBeVisible()
  expect(await codeOf(page)).toBe(await codeOf(laptopPage))
  await laptopPage.getByRole('button', { name: 'They differ' }).click()
  await expect(page.getByRole('heading', { name: 'Not paired with Laptop' })).toBeVisible()
  await expect(laptopPage.getByRole('heading', { name: 'Not paired with This PC' })).toBeVisible()
  await pairingWith(page, 'Laptop').getByRole('button', { name: 'Try again' }).click()
  await expect(laptopPage.getByRole('button', { name: 'They match' })).toBeVisible()
  // The new question has taken the place of the old answer, on both screens.
  await expect(page.getByRole('region', { name: /^Pairing/ })).toHaveCount(1)
  await expect(laptopPage.getByRole('region', { name: /^Pairing/ })).toHaveCount(1)
  await page.getByRole('button', { name: 'They match' }).click()
  await laptopPage.getByRole('button', { name: 'They match' }).click()
  await expect(page.getByRole('heading', { name: 'Paired with Laptop' })).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: 'Paired with Laptop.' })).toHaveCount(1)
  await expect(desk(page, 'Laptop').getByText(/cores ·/)).toBeVisible()
  await expect(desk(laptopPage, 'This PC').getByText(/cores ·/)).toBeVisible()
})

test('a guest is made and started by clicks, and its screen shows on both PCs', async () => {
  const { page, laptopPage, laptop } = docks
  await laptopPage.getByRole('link', { name: 'New guest' }).click()
  await laptopPage.getByLabel('Name').fill('Workshop')
  await laptopPage.getByRole('textbox', { name: 'Cores' }).fill('1')
  await laptopPage.getByRole('button', { name: 'Create guest' }).click()
  await guestOn(laptopPage, 'Laptop').getByRole('button', { name: 'Start' }).click()
  await expect(guestOn(laptopPage, 'Laptop').getByText(/running/)).toBeVisible()
  await expect(guestOn(page, 'Laptop').getByText(/running/)).toBeVisible()
  guestId = (await laptop.state()).guests[0]?.id ?? ''
  const asked = await askGuest(laptop, guestId)
  expect(asked.sound).toBe(true)
  boot = asked.boot
  // Meanwhile the good news of the pairing has left by itself.
  await expect(pairingWith(page, 'Laptop')).toHaveCount(0)
  await expect(pairingWith(laptopPage, 'This PC')).toHaveCount(0)
})

test('its screen is used from this PC while it runs on the other, keys and all', async () => {
  await useScreenOf('Laptop')
  expect((await docks.laptop.guest(guestId))?.state.kind).toBe('running')
  expect(await docks.pc.qemuPid(guestId)).toBeNull()
})

test('one click brings the running guest to this PC', async () => {
  const { page, pc, laptop } = docks
  const button = guestOn(page, 'Laptop').getByRole('button', { name: 'Migrate to this PC' })
  await button.hover()
  await expect(
    guestOn(page, 'Laptop')
      .getByText(/ready in|freeze/)
      .first(),
  ).toBeVisible()
  await button.click()
  await expect(guestOn(page, 'This PC')).toBeVisible()
  await expect(guestOn(page, 'This PC').getByText(/Moved in/)).toBeVisible({ timeout: 60_000 })
  await expect(guestOn(page, 'This PC').getByText(/running/)).toBeVisible()
  await expect(guestOn(page, 'Laptop')).toHaveCount(0)
  expect(await askGuest(pc, guestId)).toEqual({ boot, sound: true })
  await expect.poll(() => laptop.qemuPid(guestId)).toBeNull()
})

test('its screen is used here, keys and all', async () => {
  await useScreenOf('This PC')
})

test('it goes back as it came', async () => {
  const { page, laptop } = docks
  await sendFromMenu(page, 'Laptop')
  await expect(guestOn(page, 'Laptop').getByText(/running/)).toBeVisible({ timeout: 60_000 })
  await expect(guestOn(page, 'This PC')).toHaveCount(0)
  expect(await askGuest(laptop, guestId)).toEqual({ boot, sound: true })
})

test('it comes again, and goes back with post-copy, which says what it risks first', async () => {
  const { page, laptop } = docks
  await guestOn(page, 'Laptop').getByRole('button', { name: 'Migrate to this PC' }).click()
  await expect(guestOn(page, 'This PC').getByText(/running/)).toBeVisible({ timeout: 60_000 })
  await expect(guestOn(page, 'Laptop')).toHaveCount(0)
  await page.getByRole('button', { name: 'More for Workshop' }).click()
  await page.getByRole('menuitem', { name: 'Send to Laptop, finish with post-copy…' }).click()
  await expect(page.getByRole('alertdialog')).toContainText('memory is lost')
  await page.getByRole('button', { name: 'Send with post-copy' }).click()
  await expect(guestOn(page, 'Laptop').getByText(/running/)).toBeVisible({ timeout: 60_000 })
  await expect(guestOn(page, 'This PC')).toHaveCount(0, { timeout: 60_000 })
  expect(await askGuest(laptop, guestId)).toEqual({ boot, sound: true })
})

test('a blocker is explained with what to do; when that is done the move starts, and is cancelled', async () => {
  const { page, laptop, pc, pair } = docks
  const source = { kind: 'demo' } as const
  const wanted = {
    name: 'Workshop',
    source,
    cores: 1,
    memoryBytes: 256 * 1024 ** 2,
    network: 'none',
  } as const
  const clash = await pc.client.guests.create(wanted)
  if (clash.operationId !== null) await pc.operationEnd(clash.operationId)
  await guestOn(page, 'Laptop').getByRole('button', { name: 'Migrate to this PC' }).click()
  await expect(page.getByText('already has another guest called Workshop')).toBeVisible()
  await expect(page.getByText('Rename one of the two.')).toBeVisible()
  await pc.client.guests.rename({ guestId: clash.guestId, name: 'Old workshop' })
  await pair?.shape(40_000_000)
  await page.getByRole('button', { name: 'Try again' }).click()
  const arriving = guestOn(page, 'This PC')
  await expect(arriving.getByRole('progressbar')).toBeVisible()
  // While it moves its picture stands on both desks, and it still runs where it was.
  await expect(arriving.getByText('coming from Laptop')).toBeVisible()
  await expect(guestOn(page, 'Laptop').getByText('moving to This PC')).toBeVisible()
  for (const name of ['This PC', 'Laptop'])
    await expect(guestOn(page, name).locator('img').first()).toBeVisible()
  await arriving.getByRole('button', { name: 'Cancel' }).click()
  await expect(guestOn(page, 'This PC')).toHaveCount(0)
  await expect(page.getByText('already has another guest called Workshop')).toHaveCount(0)
  await pair?.shape(null)
  expect(await askGuest(laptop, guestId)).toEqual({ boot, sound: true })
  await expect.poll(() => pc.qemuPid(guestId)).toBeNull()
})

test('the cable is pulled in the middle: the guest runs on where it was, and both PCs say so', async () => {
  const { page, laptopPage, laptop, pc, pair } = docks
  test.skip(pair === null, 'there is no cable where namespaces are not allowed')
  await pair?.shape(40_000_000)
  await guestOn(page, 'Laptop').getByRole('button', { name: 'Migrate to this PC' }).click()
  await expect(guestOn(page, 'This PC').getByText(/^(copying|keeping the disk)/)).toBeVisible()
  await pair?.cut()
  await expect(guestOn(page, 'This PC')).toHaveCount(0, { timeout: 20_000 })
  const missed = missedOn(page)
  await expect(missed.getByText('did not come, stays on Laptop')).toBeVisible()
  await expect(missed.getByText('The link to Laptop broke while Workshop was on its way here.')).toBeVisible()
  await expect(missed.getByText(/^Workshop still runs on Laptop\. Check .* then try again\.$/)).toBeVisible()
  await expect(missed.getByRole('button', { name: 'Try again' })).toBeDisabled()
  const left = guestOn(laptopPage, 'Laptop')
  await expect(left.getByText('Not moved, it stays on Laptop.')).toBeVisible()
  await expect(left.getByText('The link to This PC broke while Workshop was moving.')).toBeVisible()
  expect(await askGuest(laptop, guestId)).toEqual({ boot, sound: true })
  await pair?.mend()
  await expect(guestOn(page, 'Laptop').getByText(/running/)).toBeVisible({ timeout: 30_000 })
  await expect.poll(() => pc.qemuPid(guestId)).toBeNull()
  for (const dock of [laptop, pc]) {
    await expect.poll(async () => (await dock.state()).migrations[0]?.outcome.kind).toBe('failed')
  }
  // It is told until it is tried again.
  await missed.getByRole('button', { name: 'Try again' }).click()
  await expect(guestOn(page, 'This PC').getByRole('progressbar')).toBeVisible()
  await expect(missed).toHaveCount(0)
  await guestOn(page, 'This PC').getByRole('button', { name: 'Cancel' }).click()
  await expect(guestOn(page, 'This PC')).toHaveCount(0)
  await pair?.shape(null)
})

test('this PC dies in the middle; the guest runs on there, and this PC is clean when it is back', async () => {
  const { laptop, pc, pair } = docks
  await pair?.shape(40_000_000)
  await guestOn(docks.page, 'Laptop').getByRole('button', { name: 'Migrate to this PC' }).click()
  await expect(guestOn(docks.page, 'This PC').getByRole('progressbar')).toBeVisible()
  await docks.killFace()
  await pair?.shape(null)
  expect(await askGuest(laptop, guestId)).toEqual({ boot, sound: true })
  await docks.openFace()
  await expect(guestOn(docks.page, 'Laptop').getByText(/running/)).toBeVisible({ timeout: 30_000 })
  await expect(guestOn(docks.page, 'This PC')).toHaveCount(0)
  await expect.poll(() => pc.qemuPid(guestId)).toBeNull()
  const missed = missedOn(docks.page)
  await expect(missed.getByText('The link to This PC broke while Workshop was moving.')).toBeVisible()
  await missed.getByRole('button', { name: 'Dismiss' }).click()
  await expect(missed).toHaveCount(0)
})

test('a guest is deleted and brought back, this PC gets another name, and the PCs part', async () => {
  const { page } = docks
  await page.getByRole('button', { name: 'More for Old workshop' }).click()
  await page.getByRole('menuitem', { name: 'Delete…' }).click()
  await page.getByRole('button', { name: /^Delete/ }).click()
  await expect(guestOn(page, 'This PC', 'Old workshop')).toHaveCount(0)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(guestOn(page, 'This PC', 'Old workshop')).toBeVisible()
  await page.getByRole('link', { name: 'Settings' }).click()
  await page.getByLabel('Name of this PC').fill('Office')
  await page.keyboard.press('Enter')
  await expect(desk(docks.laptopPage, 'Office')).toBeVisible()
  const memory = page.getByRole('region', { name: 'Memory of guests' })
  await expect(memory.getByRole('radio', { name: '16 GiB' })).toBeChecked()
  await memory.getByRole('radio', { name: 'Nothing' }).click()
  await expect(memory.getByText('Nothing is kept.')).toBeVisible()
  await page.getByRole('link', { name: 'Desk' }).first().click()
  await page.getByRole('button', { name: 'More for the PC Laptop' }).click()
  await page.getByRole('menuitem', { name: 'Unpair…' }).click()
  await page.getByRole('button', { name: /^Unpair/ }).click()
  await expect(guestOn(page, 'Laptop')).toHaveCount(0)
  await expect(desk(docks.laptopPage, 'Office').getByText(/cores ·/)).toHaveCount(0)
})

/** How many pixels of a canvas are not nearly black. */
async function brightPixels(canvas: Locator): Promise<number> {
  return await canvas.evaluate((element) => {
    if (!(element instanceof HTMLCanvasElement)) return 0
    const { width, height } = element
    const pixels = element.getContext('2d')?.getImageData(0, 0, width, height).data ?? []
    let bright = 0
    for (let n = 0; n < pixels.length; n += 4) {
      if ((pixels[n] ?? 0) + (pixels[n + 1] ?? 0) + (pixels[n + 2] ?? 0) > 120) bright += 1
    }
    return bright
  })
}
