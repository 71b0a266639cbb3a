/** What memory is promised to whom, with the figures of a PC that has 1 GiB to give. */
import { describe, expect, it } from 'vitest'
import { modelGuest } from './docking/testing/fake-machine.ts'
import { Memory, memoryFreeBytes, residentBytes } from './memory.ts'

const mebibyte = 1024 ** 2
const reservedBytes = 256 * mebibyte

function memoryWith(freeMebibytes: number): { memory: Memory; pc: { freeBytes: number } } {
  const pc = { freeBytes: freeMebibytes * mebibyte + reservedBytes }
  return { memory: new Memory(async () => pc.freeBytes), pc }
}

const bytes = (mebibytes: number) => async (): Promise<number> => mebibytes * mebibyte

describe('memory', () => {
  it('that a guest on its way here has not taken yet is not promised to another one', async () => {
    const { memory, pc } = memoryWith(1024)
    let remaining = 700
    memory.pledge('first', async () => remaining * mebibyte)
    expect(await memory.roomFor('second')).toBe(324 * mebibyte)
    // Half of it has arrived: the system knows of that half.
    remaining = 350
    pc.freeBytes -= 350 * mebibyte
    expect(await memory.roomFor('second')).toBe(324 * mebibyte)
  })

  it('goes to who came first: of two that come at once and fit only one by one, one is refused', async () => {
    const { memory } = memoryWith(1024)
    memory.pledge('first', bytes(700))
    memory.pledge('second', bytes(700))
    expect(await memory.roomFor('first')).toBe(1024 * mebibyte)
    expect(await memory.roomFor('second')).toBe(324 * mebibyte)
    expect(await memory.roomFor('third')).toBe(0)
  })

  it('is there again when the guest has arrived or was let go', async () => {
    const { memory } = memoryWith(1024)
    const end = memory.pledge('first', bytes(700))
    end()
    end()
    expect(await memory.roomFor('second')).toBe(1024 * mebibyte)
  })

  it('that is spoken for keeps a guest from being started, by name', async () => {
    const { memory } = memoryWith(200)
    const { definition } = modelGuest(undefined, 'a'.repeat(52))
    await memory.assertRoom(definition)
    memory.pledge('first', bytes(100))
    await expect(memory.assertRoom(definition)).rejects.toMatchObject({
      code: 'guest.too_big',
      message: 'Model needs 128 MiB of memory; this PC has 100 MiB to give.',
    })
  })

  it('is counted as the system counts it', async () => {
    expect(await memoryFreeBytes()).toBeGreaterThan(mebibyte)
    const held = await residentBytes(process.pid)
    expect(held / process.memoryUsage.rss()).toBeCloseTo(1, 0)
    expect(await residentBytes(2 ** 30)).toBe(0)
  })
})
