/** A picture can be dropped exactly where the buttons could move it. */
import { describe, expect, it } from 'vitest'
import { attic, dock, guestId, here, hereId, laptop, laptopId, stranger } from '../fixtures/things.ts'
import { dropRequest } from './drag.ts'

const fromLaptop = { guestId: guestId(1), fromDockId: laptopId }
const fromHere = { guestId: guestId(1), fromDockId: hereId }

describe('dropping a guest on a desk', () => {
  it('moves a guest of a paired dock to this PC, and back', () => {
    expect(dropRequest(fromLaptop, here, hereId)).toEqual({ ...fromLaptop, toDockId: hereId })
    expect(dropRequest(fromHere, laptop, hereId)).toEqual({ ...fromHere, toDockId: laptopId })
  })

  it('refuses the desk it stands on, and the way between two other docks', () => {
    expect(dropRequest(fromHere, here, hereId)).toBeNull()
    expect(dropRequest(fromLaptop, dock(attic, 'Attic', { kind: 'online' }, true), hereId)).toBeNull()
  })

  it('refuses docks that are away or not paired', () => {
    expect(
      dropRequest(fromHere, dock(attic, 'Attic', { kind: 'offline', lastSeenAtMs: null }, true), hereId),
    ).toBeNull()
    expect(dropRequest(fromHere, dock(stranger, 'Studio', { kind: 'nearby' }, false), hereId)).toBeNull()
  })
})
