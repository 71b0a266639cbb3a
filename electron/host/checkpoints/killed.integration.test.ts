/**
 * A few instants out of all those at which `npm run faults:vault` kills a host at work with checkpoints. What is seen to
 * afterwards is in `vault-fault-verdict.ts`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasDemoGuest } from '../../qemu/test-guests.ts'
import { VaultFaultRig } from '../../testing/vault-fault-rig.ts'
import type { VaultWork } from '../../testing/vault-fault-works.ts'

let rig: VaultFaultRig

beforeAll(async () => {
  if (hasDemoGuest) rig = await VaultFaultRig.create('folder')
}, 120_000)

afterAll(async () => {
  await rig?.destroy()
})

const instants: readonly [work: VaultWork, at: number, which: number][] = [
  ['make a checkpoint', 0.3, 0],
  ['make a checkpoint', 0.9, 0],
  ['restore in place', 0.6, 0],
  ['free space', 0.5, 0],
]

describe.skipIf(!hasDemoGuest)('a host that is killed with SIGKILL', () => {
  it.each(instants)(
    'harms neither the guest nor a checkpoint: %s, at %d of the time',
    async (work, at, which) => {
      expect(await rig.strike({ work, victim: 'host', at, which, awayMs: 0, againMs: [] })).toEqual([])
    },
  )

  it('leaves nothing in the vault that the next sweep does not free', async () => {
    expect(await rig.finish(0)).toEqual([])
  })
})
