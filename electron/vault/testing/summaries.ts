/** For tests: summaries of checkpoints. */
import type { Summary, SummaryHead } from '../codec/summary.ts'
import { testDockId } from './tables.ts'

export function testSummary(id: string, changes: Partial<SummaryHead> = {}): Summary {
  return {
    picture: null,
    head: {
      version: 1,
      id,
      guestId: '5b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a10',
      guestName: 'Mail',
      label: { name: '', note: '', pinned: false },
      atMs: 1_760_000_000_000,
      byDockId: testDockId,
      byDockName: 'Desk',
      reason: 'person',
      hasMemory: true,
      cores: 2,
      memoryBytes: 2 ** 29,
      diskBytes: 2 ** 31,
      machine: 'pc-q35-7.2',
      qemuVersion: '7.2.0',
      wholeBytes: 117_000_000,
      addedBytes: 3_000_000,
      freezeMs: 21,
      ...changes,
    },
  }
}
