import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pageIdBytes } from '../pages/page-id.ts'
import { RegionTable } from './region-table.ts'

it('the hash of a region is the same whatever order its pages come in: that of their ids in order', () => {
  const cell = fc.oneof(fc.constant('hole' as const), fc.constant('zero' as const), fc.nat(250))
  fc.assert(
    fc.property(fc.array(cell, { maxLength: 60 }), fc.nat(3000), (some, zeros) => {
      const cells = [...some, ...Array.from({ length: zeros }, () => 'zero' as const), ...some]
      const id = (content: (typeof cells)[number]): Buffer => {
        if (content === 'hole') return Buffer.alloc(pageIdBytes, 0xff)
        return content === 'zero' ? Buffer.alloc(pageIdBytes) : Buffer.alloc(pageIdBytes, content + 1)
      }
      const inOrder = new RegionTable(cells.length, 'in-order')
      const any = new RegionTable(cells.length, 'any')
      const put = (table: RegionTable, page: number): void => {
        const content = cells[page] ?? 'hole'
        if (content === 'hole') table.holes(page, 1)
        else if (content === 'zero') table.zeros(page, 1)
        else table.page(page, content, 0, id(content))
      }
      for (let page = 0; page < cells.length; page += 1) put(inOrder, page)
      for (let page = cells.length - 1; page >= 0; page -= 1) {
        // What comes twice counts as it came last.
        any.page(page, 7, 7, Buffer.alloc(pageIdBytes, 77))
        put(any, page)
      }
      const expected = createHash('sha256')
        .update(Buffer.concat(cells.map(id)))
        .digest('hex')
      expect(inOrder.idsSha256()).toBe(expected)
      expect(any.idsSha256()).toBe(expected)
    }),
    { numRuns: 60 },
  )
})

it('the hash of a region of which nothing is there is that of holes, each time', () => {
  const expected = createHash('sha256')
    .update(Buffer.alloc(5000 * pageIdBytes, 0xff))
    .digest('hex')
  for (const order of ['any', 'any', 'in-order'] as const) {
    const table = new RegionTable(5000, order)
    if (order === 'in-order') table.holes(0, 5000)
    expect(table.idsSha256()).toBe(expected)
  }
})
