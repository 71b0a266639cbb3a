/** Pictures of checkpoints, links and the vault in the middle of something. */
import type { Page } from '@playwright/test'
import { press, type Shot } from './shots.ts'

/** Scenario, name of the step, what is done. */
const steps: readonly [string, string, (page: Page) => Promise<void>][] = [
  ['history-some', 'restore', (page) => ofSecond(page, 'Restore…')],
  ['history-some', 'label', (page) => ofSecond(page, 'Rename…')],
  ['history-some', 'delete', (page) => ofSecond(page, 'Delete…')],
  ['history-some', 'named', (page) => press(page, 'With a name…')],
  ['history-some', 'rules', (page) => press(page, 'Change…')],
  ['history-some', 'lend', askToLend],
  ['history-some', 'lent', lend],
  ['history-many', 'end', goToTheEnd],
  ['checkpoints', 'revoke', (page) => page.getByRole('button', { name: 'Take back…' }).first().click()],
  ['checkpoints', 'remove', (page) => press(page, 'Remove…')],
  ['vault', 'stats', count],
  ['vault', 'forget', (page) => press(page, 'Forget it on this PC…')],
  ['vault-none', 'azure', (page) => chooseAzure(page, 'Connection string')],
  ['vault-none', 'key', complainOfKey],
  ['vault-none', 'sas', (page) => chooseAzure(page, 'Container link (SAS)')],
  ['vault-none', 'other-files', (page) => lookAt(page, '/home/ada/Disks', 'other files')],
  ['vault-none', 'empty', (page) => lookAt(page, '/mnt/nas/checkpoints', 'The place is empty')],
  ['vault-none', 'no-folder', (page) => lookAt(page, '/mnt/nas/New', 'not there yet')],
  ['vault-none', 'open', openWithHalfAPhrase],
  ['vault-none', 'phrase', makeVault],
  ['vault-none', 'check', checkPhrase],
  ['desk-captured', 'menu', (page) => press(page, 'More for Workshop')],
]

export const checkpointShots: readonly Shot[] = steps.map(([scenario, name, act]) => ({
  scenario,
  step: { name, act },
}))

async function ofSecond(page: Page, button: string): Promise<void> {
  await page.getByRole('option').nth(1).click()
  await press(page, button)
}

async function askToLend(page: Page): Promise<void> {
  await ofSecond(page, 'Lend…')
  await page.getByRole('radio', { name: 'Until …' }).click()
  await page.getByRole('switch', { name: 'Begins later' }).click()
}

async function lend(page: Page): Promise<void> {
  await ofSecond(page, 'Lend…')
  await press(page, 'Make the link')
  await page.getByText('Being prepared').last().waitFor()
}

async function goToTheEnd(page: Page): Promise<void> {
  await page.getByRole('option').first().click()
  await page.keyboard.press('End')
}

async function count(page: Page): Promise<void> {
  await press(page, 'Count what it takes')
  await page.getByText('without sharing').waitFor()
  await press(page, 'Check quickly')
  await page.getByText('cannot be restored').waitFor()
  await press(page, 'Check by reading everything')
}

async function chooseAzure(page: Page, access: string): Promise<void> {
  await page.getByRole('radio', { name: 'Azure Blob Storage' }).click()
  await page.getByRole('radio', { name: access }).click()
}

async function complainOfKey(page: Page): Promise<void> {
  await chooseAzure(page, 'Account key')
  await press(page, 'Continue')
}

async function lookAt(page: Page, path: string, found: string): Promise<void> {
  await page.getByLabel('Folder', { exact: true }).fill(path)
  await press(page, 'Continue')
  await page.getByText(found).waitFor()
}

async function openWithHalfAPhrase(page: Page): Promise<void> {
  await lookAt(page, '/home/ada/Vault of the old PC', 'There is a vault')
  await page.getByLabel('Recovery phrase').fill('1. gravity 2. Machine north')
  await press(page, 'Open the vault')
}

async function makeVault(page: Page): Promise<void> {
  await lookAt(page, '/mnt/nas/checkpoints', 'The place is empty')
  await press(page, 'Make a vault here')
  await page.getByText('violin').waitFor()
}

async function checkPhrase(page: Page): Promise<void> {
  await makeVault(page)
  await press(page, 'I have written it down')
  await page.getByLabel('Word 7').fill('attitude')
  await press(page, 'Done')
}
