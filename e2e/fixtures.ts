/** What the flows run on: the face of the project they run in, and a folder for each dock they start. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base } from '@playwright/test'
import { choosePaths } from '../electron/platform/paths.ts'
import type { FaceKind } from './face.ts'

export { expect } from '@playwright/test'

export interface FaceOption {
  faceKind: FaceKind
}

interface Folders {
  /** Makes a fresh folder for a dock; all are removed after the test. */
  makeHome(): Promise<string>
}

export const test = base.extend<FaceOption & Folders>({
  faceKind: ['browser', { option: true }],
  makeHome: async ({ faceKind }, use) => {
    const homes: string[] = []
    await use(async () => {
      // Short, since unix sockets live below it.
      const home = await mkdtemp(join(tmpdir(), `wdock-${faceKind}-`))
      homes.push(home)
      return home
    })
    for (const home of homes) {
      // A host below a long path keeps its sockets elsewhere.
      const { runtime } = choosePaths({ WDOCK_HOME: home })
      for (const path of [home, runtime]) {
        await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
      }
    }
  },
})
