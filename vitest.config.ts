/**
 * Two suites: `unit` is fast and touches nothing but temporary folders; `integration` starts real QEMU
 * processes, one test file at a time, because they share two cores.
 */
import { defineConfig } from 'vitest/config'

const everywhere = '{electron,shared,renderer,scripts,bench}'

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
          exclude: ['**/node_modules/**'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
