/**
 * `unit` is fast and touches nothing but temporary folders. The `integration` suites start real programs, one test file at
 * a time, and run side by side: `integration-moves` is what happens between docks, `integration-disks` and
 * `integration-vault` what checkpoints are made of, and `integration` everything else. `two-qemus` needs a second QEMU and
 * is not part of `npm test`.
 */
import { defineConfig } from 'vitest/config'

const everywhere = '{electron,shared,renderer,scripts,bench}'
const ofDisks = [
  'electron/{delta,qemu/stream,qemu/capture}/**/*.integration.test.ts',
  'electron/disk/{nbd-,freeze,capture-,image-export}*.integration.test.ts',
]
const ofTheVault = ['electron/{objects,pages,vault}/**/*.integration.test.ts']
/** Docks of one PC may have to share its ports: never two of these at once. */
const ofMoves = ['electron/host/docking/**/*.integration.test.ts']
/** Real programs, one file at a time. */
// Real programs on a busy machine: what fails is tried once more, and named at the end of `npm test` either way.
const integration = { fileParallelism: false, retry: 1, testTimeout: 60_000, hookTimeout: 60_000 }

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [`${everywhere}/**/*.test.{ts,tsx}`],
          exclude: ['**/node_modules/**', '**/*.{integration,two-qemus}.test.{ts,tsx}'],
          testTimeout: 10_000,
          // Vitest leaves one core alone unless it is told.
          maxWorkers: '100%',
          // No test here leaves anything behind in a module; a fresh copy of all modules for each file costs half a minute.
          isolate: false,
        },
      },
      {
        test: {
          name: 'integration',
          include: [`${everywhere}/**/*.integration.test.{ts,tsx}`],
          exclude: ['**/node_modules/**', ...ofDisks, ...ofTheVault, ...ofMoves],
          ...integration,
        },
      },
      { test: { name: 'integration-moves', include: ofMoves, ...integration } },
      { test: { name: 'integration-disks', include: ofDisks, ...integration } },
      { test: { name: 'integration-vault', include: ofTheVault, ...integration } },
      { test: { name: 'two-qemus', include: [`${everywhere}/**/*.two-qemus.test.ts`], ...integration } },
    ],
  },
})
