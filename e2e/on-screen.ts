/** What the flows look for on the pages of two docks, and ask of the guests that run there. */
import { writeFile } from 'node:fs/promises'
import type { Locator, Page } from '@playwright/test'
import type { DockProcess } from '../electron/testing/dock-process.ts'
import { expect, test } from './fixtures.ts'
import type { TwoDocks } from './two-docks.ts'

export function desk(page: Page, name: string): Locator {
  return page.getByRole('region', { name, exact: true })
}

export function guestOn(page: Page, deskName: string, guest = 'Workshop'): Locator {
  return desk(page, deskName).getByRole('article', { name: guest, exact: true })
}

/** What the guest itself says of its boot, records and memory, on the dock where it runs. */
export async function askGuest(
  dock: DockProcess,
  guestId: string,
): Promise<{ boot: string; sound: boolean }> {
  const witness = await dock.witness(guestId)
  try {
    const tick = await witness.waitForTicks(20, 60_000)
    const check = await witness.check(60_000)
    return { boot: tick.boot, sound: check.lost === 0 && check.torn === 0 && check.memoryIntact }
  } finally {
    witness.close()
  }
}

/** Ticks of the guest since its boot: a guest that went back has fewer. */
export async function ticksOf(dock: DockProcess, guestId: string): Promise<number> {
  const witness = await dock.witness(guestId)
  try {
    return (await witness.waitForTicks(5, 60_000)).tick
  } finally {
    witness.close()
  }
}

/** The id of a guest that stands on a dock, by its name. */
export async function guestIdOf(dock: DockProcess, name: string): Promise<string> {
  const { guests, info } = await dock.state()
  const found = guests.find((guest) => guest.name === name && guest.dockId === info.dockId)
  if (found === undefined) throw new Error(`${dock.name} has no guest ${name}`)
  return found.id
}

/** Goes to a view by the bar on top. */
export async function goTo(page: Page, view: 'Desk' | 'Checkpoints'): Promise<void> {
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: view }).click()
}

/** Writes down the recovery phrase that the page shows, and shows that this was done. @returns the words */
export async function writeDownPhrase(page: Page): Promise<string[]> {
  const items = page.getByRole('list', { name: 'The 24 words' }).getByRole('listitem')
  await expect(items).toHaveCount(24, { timeout: 60_000 })
  const words = await items.allTextContents()
  await page.getByRole('button', { name: 'I have written it down' }).click()
  for (const number of [7, 19]) await page.getByLabel(`Word ${number}`).fill(words[number - 1] ?? '')
  await page.getByRole('button', { name: 'Done' }).click()
  await expect(page.getByText('The recovery phrase is safe with you.')).toBeVisible()
  return words
}

/** Makes a checkpoint from the guest's page, and waits until it is in the vault. The page stays open. */
export async function makeCheckpoint(page: Page, deskName: string, guest = 'Workshop'): Promise<void> {
  await goTo(page, 'Desk')
  await guestOn(page, deskName, guest)
    .getByRole('link', { name: `Open ${guest}` })
    .click()
  await page.getByRole('tab', { name: 'Checkpoints' }).click()
  await page.getByRole('button', { name: 'Checkpoint now' }).click()
  await expect(page.getByText(/^Checkpoint made, frozen for [\d.]+ s\.$/)).toBeVisible({ timeout: 60_000 })
  await expect(theCheckpoint(page).getByText('in the vault', { exact: true })).toBeVisible({
    timeout: 60_000,
  })
}

/** What is shown of the selected checkpoint. */
export function theCheckpoint(page: Page): Locator {
  return page.getByRole('region', { name: 'The selected checkpoint' })
}

/** Makes a guest by clicks, of one core and 256 MiB, and starts it. */
export async function makeAndStart(page: Page, deskName: string, guest = 'Workshop'): Promise<void> {
  await page.getByRole('link', { name: 'New guest' }).click()
  await page.getByLabel('Name').fill(guest)
  await page.getByRole('textbox', { name: 'Cores' }).fill('1')
  await page.getByRole('textbox', { name: 'Memory' }).fill('256')
  await page.getByRole('button', { name: 'Create guest' }).click()
  await guestOn(page, deskName, guest).getByRole('button', { name: 'Start' }).click()
  await expect(guestOn(page, deskName, guest).getByText(/running/)).toBeVisible()
}

/** Keeps a picture of both windows, and what became of the guests, where a test did not pass. */
export async function keepPictures(docks: TwoDocks | undefined): Promise<void> {
  const { status, title } = test.info()
  if (status === 'passed' || docks === undefined) return
  const name = title.replaceAll(/\W+/g, '-')
  const pages = [
    { page: docks.page, of: 'this-pc' },
    { page: docks.laptopPage, of: 'laptop' },
  ]
  for (const { page, of } of pages) {
    await page.screenshot({ path: test.info().outputPath(`${name}-${of}.png`) }).catch(() => undefined)
  }
  for (const dock of [docks.pc, docks.laptop]) {
    const told = await guestsOf(dock).catch((error: unknown) => String(error))
    await writeFile(test.info().outputPath(`${name}-${dock.name}.json`), JSON.stringify(told, null, 2))
  }
}

/** The guests of a dock as it tells of them, with what their QEMUs wrote. */
async function guestsOf(dock: DockProcess): Promise<unknown> {
  const { guests, operations, info } = await dock.state()
  const own = guests.filter(({ dockId }) => dockId === info.dockId)
  const logs = own.map(({ id }) => dock.client.guests.log({ guestId: id }).then(({ text }) => text, String))
  return { guests: own, operations, logs: await Promise.all(logs) }
}
