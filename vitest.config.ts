/**
 * Three suites: `unit` is fast and touches nothing but temporary folders; `integration` and `integration-vault` (what
 * checkpoints are made of) start real QEMU processes, one test file at a time, because they share two cores.
 */
import { defineConfig } from 'vitest/config'

const everywhere = '{electron,shared,renderer,scripts,bench}'
const ofTheVault = [
  'electron/{objects,pages,vault}/**/*.integration.test.ts',
  'electron/host/checkpoints/**/*.integration.test.ts',
  'electron/qemu/{stream,capture}/**/*.integration.test.ts',
  'electron/disk/{nbd-,freeze,capture-,image-export}*.integration.test.ts',
]
/** Real programs, one file at a time. */
const integration = { fileParallelism: false, testTimeout: 60_000, hookTimeout: 60_000 }

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [`${everywhere}/**/*.test.{ts,tsx}`],
          exclude: ['**/node_modules/**', '**/*.integration.test.{ts,tsx}'],
          testTimeout: 10_000,
          // No test here leaves anything behind in a module; a fresh copy of all modules for each file costs half a minute.
          isolate: false,
        },
      },
      {
        test: {
          name: 'integration',
          include: [`${everywhere}/**/*.integration.test.{ts,tsx}`],
          exclude: ['**/node_modules/**', ...ofTheVault],
          ...integration,
        },
      },
      { test: { name: 'integration-vault', include: ofTheVault, ...integration } },
    ],
  },
})
