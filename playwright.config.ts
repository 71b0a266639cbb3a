/**
 * End-to-end tests. The flows in `e2e/flows` run in every face that this machine has; the tests of the Electron
 * face itself run in the stand-in. One at a time: each starts docks, guests and a browser.
 */
import { defineConfig, type PlaywrightTestProject } from '@playwright/test'
import type { FaceOption } from './e2e/fixtures.ts'
import { findElectron } from './scripts/lib/electron-binary.ts'

const flows = '**/flows/*.spec.ts'

const projects: PlaywrightTestProject<FaceOption>[] = [
  { name: 'browser', testMatch: flows, use: { faceKind: 'browser' } },
  { name: 'stand-in', testMatch: [flows, '**/electron-face.spec.ts'], use: { faceKind: 'stand-in' } },
]
if (findElectron() !== null) {
  projects.push({ name: 'electron', testMatch: flows, use: { faceKind: 'electron' } })
}

export default defineConfig<FaceOption>({
  testDir: 'e2e',
  workers: 1,
  fullyParallel: false,
  forbidOnly: process.env.CI !== undefined,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 10_000 },
  outputDir: 'test-results',
  reporter: 'list',
  globalSetup: './e2e/build-first.ts',
  use: { trace: 'off', actionTimeout: 15_000 },
  projects,
})
