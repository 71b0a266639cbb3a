/**
 * What is right after a blow: the guests are as they were, every checkpoint that was promised is listed, each that is
 * listed is whole, and nothing is left of the work. What is not right is said in words.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { VaultFaultBench } from './vault-fault-bench.ts'
import { doWork, type Seen, type VaultWork } from './vault-fault-works.ts'

/** A work that was struck, once it has ended. */
export interface StruckWork {
  work: VaultWork
  /** What it was done with. */
  target: Checkpoint
  /** The checkpoints that there were. */
  before: ReadonlySet<string>
  seen: Seen
}

/** Waits until nothing goes on any more, and removes what the work made. @returns what is wrong */
export async function verdictOn(bench: VaultFaultBench, struck: StruckWork): Promise<string[]> {
  const { work } = struck
  const { checkpoints, guests } = await bench.settled()
  const wrong = wrongWithList(struck, checkpoints)
  for (const guest of guests) {
    if (guest.id === bench.guestId) wrong.push(...(await wrongWithGuest(bench, guest, struck, checkpoints)))
    else if (guest.id !== bench.offId) wrong.push(...(await wrongWithCopy(bench, guest, struck)))
    else if (guest.state.kind !== 'stopped') wrong.push(`the other is ${JSON.stringify(guest.state)}`)
  }
  for (const id of [bench.guestId, bench.offId]) {
    if (!guests.some((guest) => guest.id === id)) wrong.push('a guest is gone')
  }
  wrong.push(...(await bench.processesLeft()).map((line) => `still runs: ${line}`))
  // Neither a copy nor a deletion changes a pack; at the end all are read.
  const readData = work !== 'restore a copy' && work !== 'delete a checkpoint'
  const check = await bench.dock.client.vault.check({ readData })
  for (const { checkpointId, error } of check.damaged)
    wrong.push(`${checkpointId} is damaged: ${error.message}`)
  if (check.checkpoints < checkpoints.length) wrong.push(`${check.checkpoints} were checked`)
  await rm(join(bench.dock.ready.dataDir, 'trash'), { recursive: true, force: true })
  return wrong
}

function wrongWithList(
  { work, target, before, seen }: StruckWork,
  checkpoints: readonly Checkpoint[],
): string[] {
  const wrong: string[] = []
  const now = new Set(checkpoints.map(({ id }) => id))
  const isNew = checkpoints.filter(({ id }) => !before.has(id))
  for (const { id, place } of checkpoints) if (place.kind !== 'vault') wrong.push(`${id} is ${place.kind}`)
  for (const id of before) {
    const mayBeGone = work === 'delete a checkpoint' && id === target.id
    if (!now.has(id) && !mayBeGone) wrong.push(`checkpoint ${id} is gone`)
  }
  if (seen.deletedId !== null && now.has(seen.deletedId)) wrong.push('a deleted checkpoint is back')
  if (seen.kept && isNew.length !== 1) wrong.push(`one was kept, ${isNew.length} are listed`)
  const mayMake = ['make a checkpoint', 'keep one that is off', 'restore in place'].includes(work)
  if (isNew.length > (mayMake ? 1 : 0)) wrong.push(`${isNew.length} checkpoints came from nowhere`)
  return wrong
}

/**
 * It runs on as it was. But for one that was to be replaced: killed between the old one's end and all the memory of
 * the new one, it is off; then its state until then is among the checkpoints, and brings it back.
 */
async function wrongWithGuest(
  bench: VaultFaultBench,
  guest: Guest,
  { work, before }: StruckWork,
  checkpoints: readonly Checkpoint[],
): Promise<string[]> {
  const { state } = guest
  if (state.kind === 'running') return await bench.wrongInside(guest.id)
  const wrong: string[] = []
  const isTold = state.kind === 'stopped' || isMemoryLost(state)
  if (work !== 'restore in place' || !isTold) wrong.push(`the guest is ${JSON.stringify(state)}`)
  const kept = checkpoints.find(({ id, reason }) => !before.has(id) && reason === 'before-restore')
  if (kept === undefined) wrong.push('the guest is off, and its state until then was not kept')
  const back = checkpoints.find(({ id, hasMemory }) => (kept === undefined ? hasMemory : id === kept.id))
  if (back === undefined) return wrong
  await doWork(bench, 'restore in place', back.id)
  await bench.settled()
  return [...wrong, ...(await bench.wrongInside(guest.id))]
}

async function wrongWithCopy(
  bench: VaultFaultBench,
  copy: Guest,
  { work, target: { hasMemory } }: StruckWork,
): Promise<string[]> {
  const { id, state } = copy
  const wrong = work === 'restore a copy' ? [] : ['there is a copy that nobody asked for']
  if (state.kind === 'running') {
    wrong.push(...(await bench.wrongInside(id)).map((what) => `of the copy, ${what}`))
    await bench.dock.client.guests.forceOff({ guestId: id })
  } else if (!(hasMemory ? isMemoryLost(state) : state.kind === 'stopped')) {
    wrong.push(`the copy is ${JSON.stringify(state)}`)
  }
  await bench.dock.client.guests.remove({ guestId: id })
  return wrong
}

function isMemoryLost(state: Guest['state']): boolean {
  return state.kind === 'failed' && state.error.code === 'restore.memory_lost'
}
