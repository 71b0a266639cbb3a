/**
 * The works with checkpoints during which something is killed: what each needs beforehand, and how it is done by a face.
 */
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import type { VaultFaultBench } from './vault-fault-bench.ts'

export const vaultWorks = [
  'make a checkpoint',
  'keep one that is off',
  'restore a copy',
  'restore in place',
  'delete a checkpoint',
  'free space',
] as const
export type VaultWork = (typeof vaultWorks)[number]

/** What was known of the work when the blow came, or when it had ended. */
export interface Seen {
  /** All of a new checkpoint was kept on this PC. */
  kept: boolean
  /** The dock said that this one is deleted. */
  deletedId: string | null
  /** What the work, or the operation that it was, ended with. */
  error: string | null
  ended: boolean
}

export function nothingSeen(): Seen {
  return { kept: false, deletedId: null, error: null, ended: false }
}

/** On a PC that has nothing else to do, about. */
export const usuallyMs: Readonly<Record<VaultWork, number>> = {
  'make a checkpoint': 1500,
  'keep one that is off': 400,
  'restore a copy': 2500,
  'restore in place': 3500,
  'delete a checkpoint': 40,
  'free space': 150,
}
const mostCheckpoints = 4

/** What the work needs, not struck. @returns the checkpoint to be used */
export async function prepareWork(
  bench: VaultFaultBench,
  work: VaultWork,
  which: number,
): Promise<Checkpoint> {
  const isFreeing = work === 'free space'
  let list = (await bench.dock.state()).checkpoints
  while (list.length > mostCheckpoints || (isFreeing && list.length > 1)) {
    await bench.dock.client.checkpoints.remove({ checkpointId: list.at(-1)?.id ?? '' })
    list = (await bench.dock.state()).checkpoints
    if (isFreeing) break
  }
  if (isFreeing) await bench.losePatience()
  const usable = (): Checkpoint[] => list.filter(({ hasMemory }) => work !== 'restore in place' || hasMemory)
  if (usable().length === 0 || (work === 'delete a checkpoint' && list.length < 2)) {
    await doWork(bench, 'make a checkpoint', '')
    list = (await bench.dock.state()).checkpoints
  }
  const found = usable()[Math.floor(which * usable().length)]
  if (found === undefined) throw new Error('there is no checkpoint')
  return found
}

/** Does it to its end. @param checkpointId what it is done with @throws what it ended with */
export async function doWork(
  bench: VaultFaultBench,
  work: VaultWork,
  checkpointId: string,
  seen = nothingSeen(),
): Promise<void> {
  const { client } = bench.dock
  switch (work) {
    case 'make a checkpoint':
    case 'keep one that is off': {
      const guestId = work === 'make a checkpoint' ? bench.guestId : bench.offId
      const { operationId } = await client.checkpoints.make({ guestId, label: {} })
      await bench.end(operationId)
      seen.kept = true
      await bench.settled()
      return
    }
    case 'restore a copy':
      return await bench.end((await client.checkpoints.restore({ checkpointId, as: 'copy' })).operationId)
    case 'restore in place':
      return await bench.end((await client.checkpoints.restore({ checkpointId, as: 'same' })).operationId)
    case 'delete a checkpoint':
      await client.checkpoints.remove({ checkpointId })
      seen.deletedId = checkpointId
      return
    case 'free space':
      await client.vault.sweep()
  }
}
