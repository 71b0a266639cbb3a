/**
 * What QEMU remembers for us while the state of its guest is being taken: whether the guest ran before. Promises that
 * a host which comes after one that died finds this out from QEMU alone. The note is the name of an empty block
 * node that nothing is attached to; it is no part of the guest and never leaves this QEMU.
 */
import { blockdevAdd, blockdevDel, queryNamedBlockNodes } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'

/** Whether the guest ran when its capture began. */
export type Before = 'running' | 'paused'

const noteNames: Record<Before, string> = { running: 'capture-of-running', paused: 'capture-of-paused' }

/** @throws qemu.command_failed when there is a note already */
export async function leaveNote(qmp: QmpSession, before: Before): Promise<void> {
  await blockdevAdd(qmp, { driver: 'null-co', 'node-name': noteNames[before], 'read-zeroes': true })
}

/** @returns null when no capture is under way, and none was left by an earlier host */
export async function readNote(qmp: QmpSession): Promise<Before | null> {
  const names = (await queryNamedBlockNodes(qmp)).map((node) => node['node-name'])
  if (names.includes(noteNames.running)) return 'running'
  return names.includes(noteNames.paused) ? 'paused' : null
}

export async function removeNote(qmp: QmpSession, before: Before): Promise<void> {
  await blockdevDel(qmp, noteNames[before])
}
