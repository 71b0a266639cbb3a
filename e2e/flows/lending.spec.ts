/**
 * The way of a checkpoint to somebody else: cloud storage, a link for two hours, the Laptop that restores from it
 * without a vault of its own, and the end of the link. One story on two docks that do not know each other, over
 * Azure's emulator: each test goes on where the one before ended.
 */
import { expect, test } from '../fixtures.ts'
import {
  askGuest,
  goTo,
  guestIdOf,
  guestOn,
  keepPictures,
  makeAndStart,
  makeCheckpoint,
  theCheckpoint,
  writeDownPhrase,
} from '../on-screen.ts'
import { TwoDocks } from '../two-docks.ts'

// A PC that emulates, and has other work, takes its time.
test.describe.configure({ mode: 'serial', timeout: 240_000 })

let docks: TwoDocks
let boot: string
let link: string

test.beforeAll(async ({ faceKind }) => {
  docks = await TwoDocks.open(faceKind, { env: { WDOCK_DEMO: '1' } })
})

test.afterAll(async () => {
  await docks?.destroy()
})

test.afterEach(() => keepPictures(docks))

test('checkpoints of a guest are kept in cloud storage', async () => {
  const { page, pc } = docks
  await makeAndStart(page, 'This PC')
  await goTo(page, 'Checkpoints')
  await page.getByRole('link', { name: 'Choose a place' }).click()
  await page.getByRole('radio', { name: 'Azurite, to try it out' }).click()
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByRole('button', { name: 'Make a vault here' }).click({ timeout: 60_000 })
  await writeDownPhrase(page)
  await expect(page.getByText('by a link, for as long as you choose')).toBeVisible()
  await makeCheckpoint(page, 'This PC')
  const asked = await askGuest(pc, await guestIdOf(pc, 'Workshop'))
  expect(asked.sound).toBe(true)
  boot = asked.boot
})

test('a link is made, good for two hours, and is on the list of links', async () => {
  const { page } = docks
  await theCheckpoint(page).getByRole('button', { name: 'Lend…' }).click()
  await expect(page.getByText(/^Whoever has the link can restore this one checkpoint/)).toBeVisible()
  await page.getByRole('radio', { name: '2 hours' }).click()
  await page.getByRole('button', { name: 'Make the link' }).click()
  await expect(page.getByText(/^The link is good until (today|tomorrow), \d\d:\d\d\./)).toBeVisible()
  await expect(page.getByText('It works now.')).toBeVisible({ timeout: 60_000 })
  link = (await page.getByRole('status', { name: 'The link' }).textContent()) ?? ''
  expect(link).toMatch(/^wdock:lend\?/)
  await page.getByRole('button', { name: 'Close' }).click()
  await expect(theCheckpoint(page).getByRole('list', { name: 'Links' }).getByRole('listitem')).toHaveCount(1)
  await goTo(page, 'Checkpoints')
  const lent = page.getByRole('list', { name: 'Links' }).getByRole('listitem')
  await expect(lent).toContainText(/Workshop, today, \d\d:\d\d/)
  await expect(lent).toContainText(/until (today|tomorrow), \d\d:\d\d/)
})

test('the Laptop sees what the link leads to and until when, and restores it', async () => {
  const { laptopPage, laptop } = docks
  const { port } = new URL(new URL(link).searchParams.get('u') ?? '')
  await docks.sharePort(Number(port))
  await goTo(laptopPage, 'Checkpoints')
  await laptopPage.getByRole('link', { name: 'Paste a link' }).click()
  await laptopPage.getByLabel('Paste the link').fill(link)
  const lent = laptopPage.getByRole('region', { name: 'Workshop' })
  await expect(lent.getByText(/, on This PC$/)).toBeVisible()
  await expect(lent.getByText(/^until (today|tomorrow), \d\d:\d\d$/)).toBeVisible()
  await expect(lent.locator('img')).toBeVisible()
  await lent.getByRole('button', { name: 'Restore on this PC' }).click()
  const restored = guestOn(laptopPage, 'Laptop')
  await expect(restored.getByText('Restored. Everything is on this PC now.')).toBeVisible({
    timeout: 150_000,
  })
  await expect(restored.getByText(/^running/)).toBeVisible()
  expect(await askGuest(laptop, await guestIdOf(laptop, 'Workshop'))).toEqual({ boot, sound: true })
})

test('the link is taken back, and the Laptop is told so; what it has stays its own', async () => {
  const { page, laptopPage, laptop } = docks
  await page.getByRole('button', { name: 'Take back…' }).click()
  await expect(page.getByText(/^It stops working at once\./)).toBeVisible()
  await page.getByRole('button', { name: 'Take it back' }).click()
  await expect(page.getByRole('list', { name: 'Links' })).toHaveCount(0)
  await goTo(laptopPage, 'Checkpoints')
  await laptopPage.getByRole('link', { name: 'Paste a link' }).click()
  await laptopPage.getByLabel('Paste the link').fill(link)
  await expect(
    laptopPage.getByText('This link does not work: it is not valid yet, has ended, or was taken back.'),
  ).toBeVisible()
  await expect(laptopPage.getByText('Ask the person who gave it to you.')).toBeVisible()
  expect((await askGuest(laptop, await guestIdOf(laptop, 'Workshop'))).boot).toBe(boot)
})

test('the checkpoint is deleted, its space is freed later, and the PC forgets the vault', async () => {
  const { page } = docks
  await page.getByRole('list', { name: 'Guests in the vault' }).getByRole('link').click()
  await theCheckpoint(page).getByRole('button', { name: 'Delete…' }).click()
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await expect(page.getByText('No checkpoint of this guest is in the vault')).toBeVisible()
  await goTo(page, 'Checkpoints')
  await page.getByRole('link', { name: 'The vault' }).click()
  await page.getByRole('button', { name: 'Free space now' }).click()
  await expect(page.getByText(/^Nothing could be freed yet: /)).toBeVisible({ timeout: 60_000 })
  await page.getByRole('button', { name: 'Forget it on this PC…' }).click()
  await page.getByRole('button', { name: 'Forget it', exact: true }).click()
  await expect(page.getByRole('radiogroup', { name: 'Where checkpoints are kept' })).toBeVisible()
})
