/** What a picture of a view is made of: a scenario of the fixtures, and what is done before it is taken. */
import type { Page } from '@playwright/test'

export interface Shot {
  scenario: string
  /** Added to the file's name; what is done before the picture is taken. */
  step?: { name: string; act: (page: Page) => Promise<void> }
}

export async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click()
}
