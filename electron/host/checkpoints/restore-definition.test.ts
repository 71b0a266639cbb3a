/** Names and definitions of restored guests. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { guestDefinition, guestName } from '../../../shared/models/guest-definition.ts'
import { newLayerId } from '../../disk/layers.ts'
import { testDefinition } from '../../qemu/test-guests.ts'
import { copyName, freeName, restoredDefinition } from './restore-definition.ts'

const nobody = (): boolean => false

describe('the name of a copy', () => {
  it('says that it is one, once, and counts on', () => {
    expect(copyName('Web', nobody)).toBe('Web (copy)')
    expect(copyName('Web (copy)', (name) => name === 'Web (copy)')).toBe('Web (copy 2)')
    expect(copyName('Web (copy 2)', nobody)).toBe('Web (copy)')
  })

  it('is free and a valid name, whatever the guest is called and whatever is taken', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 64 }).filter((each) => {
      return guestName.safeParse(each).success && each === each.trim()
    })
    fc.assert(
      fc.property(name, fc.nat({ max: 12 }), (kept, taken) => {
        const known = new Set<string>()
        for (let n = 0; n <= taken; n += 1) {
          for (const next of [
            copyName(kept, (each) => known.has(each)),
            freeName(kept, (each) => known.has(each)),
          ]) {
            expect(guestName.safeParse(next)).toMatchObject({ success: true, data: next })
            known.add(next)
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('the definition of a restored guest', () => {
  it('has disks of its own that stand alone, and is what was kept in all else', () => {
    const layers = [newLayerId(), newLayerId()]
    const disk = { nodeName: 'disk0', layers, top: newLayerId(), virtualSizeBytes: 1024 ** 3 }
    const kept = testDefinition({ disks: [disk] })
    const identity = {
      id: '9b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a11',
      name: 'Copy',
      macAddress: '52:54:00:00:00:09',
    }
    const restored = restoredDefinition(kept, identity, () => newLayerId())
    expect(guestDefinition.parse(restored)).toEqual(restored)
    expect(restored).toMatchObject({
      ...kept,
      ...identity,
      disks: [{ ...disk, layers: [], top: expect.any(String) }],
    })
    expect([disk.top, ...layers]).not.toContain(restored.disks[0]?.top)
  })
})
