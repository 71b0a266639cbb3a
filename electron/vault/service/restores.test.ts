/** What the host is told of a checkpoint before it is restored. */
import { expect, it } from 'vitest'
import { checkpointOf } from '../catalog.ts'
import { testSummary } from '../testing/summaries.ts'
import { buildCase, type TableCase } from '../testing/tables.ts'
import { factsOf } from './restores.ts'

const id = '0123456789abcdef0123456789abcdef'
const page = (slot: number) => ({ kind: 'page', frame: 0, slot }) as const
const zero = { kind: 'zero' } as const
const hole = { kind: 'hole' } as const

/** @param cells those of the disk, the device state and the memory */
function factsAbout(...cells: TableCase['cells']) {
  const { manifest } = buildCase(id, { packs: [[{ pages: 8, sealedBytes: 9000 }]], cells })
  return factsOf(checkpointOf(testSummary(id), { kind: 'vault' }), manifest)
}

it('of a disk and of memory, only what is neither zero nor a hole is in the checkpoint', () => {
  const facts = factsAbout(
    [page(0), hole, page(1), zero, hole],
    [page(2)],
    [zero, page(3), zero, page(4), page(5)],
  )
  expect(facts.disks).toEqual([{ nodeName: 'disk0', virtualSizeBytes: 5 * 4096 - 100, dataBytes: 2 * 4096 }])
  expect(facts).toMatchObject({ hasMemory: true, memoryDataBytes: 3 * 4096 })
})

it('no more of a disk is in the checkpoint than there is of the disk', () => {
  const facts = factsAbout([page(0), page(1)])
  expect(facts.disks).toMatchObject([{ virtualSizeBytes: 2 * 4096 - 100, dataBytes: 2 * 4096 - 100 }])
  expect(facts).toMatchObject({ hasMemory: false, memoryDataBytes: 0 })
})
