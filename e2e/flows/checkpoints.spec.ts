/**
 * The way of a person through time: a vault in a folder, a checkpoint of the running guest, back to it beside the
 * guest and in its place, and the same vault on another PC by its recovery phrase. One story on two docks that do not
 * know each other: each test goes on where the one before ended.
 */
import { mkdir, readdir, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
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
  ticksOf,
  writeDownPhrase,
} from '../on-screen.ts'
import { TwoDocks } from '../two-docks.ts'

// A PC that emulates, and has other work, takes its time.
test.describe.configure({ mode: 'serial', timeout: 240_000 })

let docks: TwoDocks
let guestId: string
let copyId: string
let boot: string
let vaultPath: string
let phrase: readonly string[]

test.beforeAll(async ({ faceKind }) => {
  docks = await TwoDocks.open(faceKind)
  const nas = join(docks.folder, 'nas')
  await mkdir(nas)
  vaultPath = join(nas, 'checkpoints')
})

test.afterAll(async () => {
  await docks?.destroy()
})

test.afterEach(() => keepPictures(docks))

test('a guest runs, and a folder becomes the vault, made where it is not there yet', async () => {
  const { page, pc } = docks
  await makeAndStart(page, 'This PC')
  guestId = await guestIdOf(pc, 'Workshop')
  await goTo(page, 'Checkpoints')
  await page.getByRole('link', { name: 'Choose a place' }).click()
  await page.getByLabel('Folder', { exact: true }).fill(vaultPath)
  await page.getByRole('button', { name: 'Continue' }).click()
  await expect(page.getByText(/is not there yet/)).toBeVisible()
  await page.getByRole('button', { name: 'Make a vault here' }).click()
  phrase = await writeDownPhrase(page)
  await expect(page.getByText(`the folder ${vaultPath}`)).toBeVisible()
  await expect(page.getByText('You have written it down.', { exact: false })).toBeVisible()
  boot = (await askGuest(pc, guestId)).boot
})

test('a checkpoint of the running guest stands on its timeline, with its picture and what it takes', async () => {
  const { page, pc } = docks
  await makeCheckpoint(page, 'This PC')
  const only = page
    .getByRole('listbox', { name: 'Checkpoints of Workshop, newest first' })
    .getByRole('option')
  await expect(only).toHaveCount(1)
  await expect(only).toHaveAccessibleName(
    /^today, \d\d:\d\d, made by hand, [\d.]+ [kM]B, added [\d.]+ [kM]B, in the vault$/,
  )
  await expect(only.locator('img')).toBeVisible()
  await expect(theCheckpoint(page).locator('img')).toBeVisible()
  await expect(theCheckpoint(page).getByText('memory and disk')).toBeVisible()
  await expect(theCheckpoint(page).getByText(/^the guest stood still for [\d.]+ s$/)).toBeVisible()
  expect(await askGuest(pc, guestId)).toEqual({ boot, sound: true })
})

test('it gets a name and a note, is pinned and unpinned, and the keyboard is never sent away', async () => {
  const { page } = docks
  const details = theCheckpoint(page)
  // It was disabled as long as the checkpoint was made.
  await expect(page.getByRole('button', { name: 'Checkpoint now' })).toBeFocused()
  const withName = page.getByRole('button', { name: 'With a name…' })
  await withName.press('Enter')
  await page.getByRole('textbox', { name: 'Name' }).press('Escape')
  await expect(withName).toBeFocused()
  await page.getByRole('button', { name: 'Name it…' }).press('Enter')
  await page.getByRole('textbox', { name: 'Name' }).fill('Before the update')
  await page.getByRole('textbox', { name: 'Name' }).press('Enter')
  // “Name it…” has gone.
  await expect(page.getByRole('button', { name: 'Dismiss' })).toBeFocused()
  const rename = details.getByRole('button', { name: 'Rename…' })
  await rename.click()
  await page.getByRole('textbox', { name: 'Note' }).fill('All tests passed here.')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(rename).toBeFocused()
  await expect(details.getByRole('heading', { name: 'Before the update' })).toBeVisible()
  await expect(details.getByText('All tests passed here.')).toBeVisible()
  const named = page.getByRole('option', { name: /^Before the update, today/ })
  await details.getByRole('button', { name: 'Pin', exact: true }).click()
  await expect(named).toHaveAccessibleName(/, pinned$/)
  await expect(details.getByRole('button', { name: 'Unpin' })).toBeFocused()
  await details.getByRole('button', { name: 'Unpin' }).click()
  await expect(named).not.toHaveAccessibleName(/pinned/)
})

test('a copy of it goes on from that instant, while the guest itself runs on', async () => {
  const { page, pc } = docks
  const ticksBefore = await ticksOf(pc, guestId)
  await theCheckpoint(page).getByRole('button', { name: 'Restore…' }).click()
  await expect(page.getByText('It goes back to this point.')).toBeVisible()
  await page.getByRole('radio', { name: 'As a copy' }).click()
  await expect(page.getByText(/^Both have the same secrets/)).toBeVisible()
  await page.getByRole('button', { name: 'Restore a copy' }).click()
  const copy = guestOn(page, 'This PC', 'Workshop (copy)')
  await expect(copy.getByText(/^running/)).toBeVisible({ timeout: 60_000 })
  await expect(copy.getByText('Restored. Everything is on this PC now.')).toBeVisible({ timeout: 150_000 })
  copyId = await guestIdOf(pc, 'Workshop (copy)')
  expect(await askGuest(pc, copyId)).toEqual({ boot, sound: true })
  expect(await askGuest(pc, guestId)).toEqual({ boot, sound: true })
  expect(await ticksOf(pc, guestId)).toBeGreaterThan(ticksBefore)
  // It has served; two guests at a time are enough for a small PC.
  await page.getByRole('button', { name: 'More for Workshop (copy)' }).click()
  await page.getByRole('menuitem', { name: 'Force off…' }).click()
  await page.getByRole('button', { name: 'Force off' }).click()
  await expect(copy.getByRole('button', { name: 'Start' })).toBeVisible()
})

test('the guest itself goes back to it, and what it was is kept first', async () => {
  const { page, pc } = docks
  await guestOn(page, 'This PC').getByRole('link', { name: 'Open Workshop' }).click()
  await page.getByRole('tab', { name: 'Checkpoints' }).click()
  await theCheckpoint(page).getByRole('button', { name: 'Restore…' }).click()
  await expect(page.getByRole('dialog', { name: 'Restore “Before the update”' })).toBeVisible()
  await expect(
    page.getByText('What it is now is kept as a checkpoint first, so you can come back to the present.'),
  ).toBeVisible()
  const ticksBefore = await ticksOf(pc, guestId)
  await page.getByRole('button', { name: 'Restore', exact: true }).click()
  const guest = guestOn(page, 'This PC')
  await expect(guest.getByText('Restored. Everything is on this PC now.')).toBeVisible({ timeout: 150_000 })
  await expect(guest.getByText(/^running/)).toBeVisible()
  expect(await askGuest(pc, guestId)).toEqual({ boot, sound: true })
  expect(await ticksOf(pc, guestId)).toBeLessThan(ticksBefore)
  await guest.getByRole('link', { name: 'Open Workshop' }).click()
  await page.getByRole('tab', { name: 'Checkpoints' }).click()
  await expect(page.getByRole('option')).toHaveCount(2)
  await expect(page.getByRole('option', { name: /made before a restore/ })).toHaveAccessibleName(
    /in the vault$/,
    {
      timeout: 60_000,
    },
  )
})

test('another PC opens the vault by its recovery phrase and restores from it', async () => {
  const { laptopPage, laptop } = docks
  await goTo(laptopPage, 'Checkpoints')
  await laptopPage.getByRole('link', { name: 'Choose a place' }).click()
  await laptopPage.getByLabel('Folder', { exact: true }).fill(vaultPath)
  await laptopPage.getByRole('button', { name: 'Continue' }).click()
  const words = laptopPage.getByLabel('Recovery phrase')
  await words.fill([...phrase].reverse().join(' '))
  await laptopPage.getByRole('button', { name: 'Open the vault' }).click()
  await expect(laptopPage.getByText('The words are in the list, but do not belong together.')).toBeVisible()
  await words.fill(phrase.map((word, n) => `${n + 1}. ${word}`).join('\n'))
  await expect(laptopPage.getByText('All 24 words are there.')).toBeVisible()
  await laptopPage.getByRole('button', { name: 'Open the vault' }).click()
  await expect(laptopPage.getByText('Opened the vault.')).toBeVisible()
  await goTo(laptopPage, 'Checkpoints')
  const kept = laptopPage.getByRole('list', { name: 'Guests in the vault' }).getByRole('link')
  await expect(kept).toContainText('Workshop')
  await expect(kept).toContainText('2 checkpoints')
  await expect(kept).toContainText('on no PC in sight')
  await kept.click()
  await laptopPage.getByRole('option', { name: /^Before the update/ }).click()
  await theCheckpoint(laptopPage).getByRole('button', { name: 'Restore…' }).click()
  await expect(laptopPage.getByText(/^Do this only if Workshop runs on no other PC any more/)).toBeVisible()
  await laptopPage.getByRole('radio', { name: 'As a copy' }).click()
  await laptopPage.getByRole('button', { name: 'Restore a copy' }).click()
  const restored = guestOn(laptopPage, 'Laptop', 'Workshop (copy)')
  await expect(restored.getByText('Restored. Everything is on this PC now.')).toBeVisible({
    timeout: 150_000,
  })
  await expect(restored.getByText(/^running/)).toBeVisible()
  const restoredId = await guestIdOf(laptop, 'Workshop (copy)')
  expect(await askGuest(laptop, restoredId)).toEqual({ boot, sound: true })
})

test('a checkpoint is deleted on one PC and gone on both; the vault is whole; a PC forgets it', async () => {
  const { page, laptopPage } = docks
  await page.getByRole('option', { name: /made before a restore/ }).click()
  await theCheckpoint(page).getByRole('button', { name: 'Delete…' }).click()
  await expect(page.getByText('Workshop itself and its other checkpoints stay as they are.')).toBeVisible()
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await expect(page.getByRole('option')).toHaveCount(1)
  await goTo(page, 'Checkpoints')
  await page.getByRole('link', { name: 'The vault' }).click()
  await page.getByRole('button', { name: 'Free space now' }).click()
  await expect(page.getByText(/^Nothing could be freed yet: /)).toBeVisible({ timeout: 60_000 })
  await makeOlder(vaultPath, 31 * 60_000)
  await page.getByRole('button', { name: 'Free space now' }).click()
  await expect(page.getByText(/^Freed [\d.]+ [kM]B\.$/)).toBeVisible({ timeout: 60_000 })
  await page.getByRole('button', { name: 'Check by reading everything' }).click()
  await expect(page.getByText(/Checked 1 checkpoint, [\d.]+ MB read: everything is whole\.$/)).toBeVisible({
    timeout: 60_000,
  })
  await goTo(laptopPage, 'Checkpoints')
  await laptopPage.getByRole('link', { name: 'The vault' }).click()
  await laptopPage.getByRole('button', { name: 'Forget it on this PC…' }).click()
  await laptopPage.getByRole('button', { name: 'Forget it', exact: true }).click()
  await goTo(laptopPage, 'Checkpoints')
  await expect(laptopPage.getByText('No place for checkpoints yet')).toBeVisible()
})

/** As if time had passed since the files were written. */
async function makeOlder(folder: string, byMs: number): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const at = new Date((await stat(path)).mtimeMs - byMs)
    await utimes(path, at, at)
  }
}
