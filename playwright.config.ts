/**
 * End-to-end tests. The flows in `e2e/flows` run in every face that this machine has; the tests of the Electron
 * face itself run in the stand-in. One at a time: each starts docks, guests and a browser. Every project keeps the
 * pictures of its failures in a folder of its own, which its next run clears: projects may run side by side.
 */
import { defineConfig, type PlaywrightTestProject } from '@playwright/test'
import type { FaceKind } from './e2e/face.ts'
import type { FaceOption } from './e2e/fixtures.ts'
import { findElectron } from './scripts/lib/electron-binary.ts'

const flows = '**/flows/*.spec.ts'

function project(name: string, faceKind: FaceKind, testMatch: string): PlaywrightTestProject<FaceOption> {
  return { name, testMatch, outputDir: `test-results/${name}`, use: { faceKind } }
}

const projects = [
  project('electron-face', 'stand-in', '**/electron-face.spec.ts'),
  project('stand-in', 'stand-in', flows),
  project('browser', 'browser', flows),
]
if (findElectron() !== null) projects.push(project('electron', 'electron', flows))

export default defineConfig<FaceOption>({
  testDir: 'e2e',
  workers: 1,
  fullyParallel: false,
  forbidOnly: process.env.CI !== undefined,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 10_000 },
  reporter: 'list',
  globalSetup: './e2e/build-first.ts',
  use: { trace: 'off', actionTimeout: 15_000 },
  projects,
})
