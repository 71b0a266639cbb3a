/**
 * The temporary overlay of a frozen disk: how its node and its files are called, and what QEMU says of it. Promises that
 * the state is read from QEMU and the folder alone, so that any host can go on where an earlier one died.
 *
 * Files beside a top layer `<top>.qcow2`, each with one meaning:
 *
 * - `<top>.live.part`: an overlay that is being made. Nobody has written to it: it can go.
 * - `<top>.live.qcow2`: may hold writes of the guest that the top does not have. Needed, unless a running QEMU says
 *   that the guest does not write to it.
 * - `<top>.done.qcow2`: everything in it is in the top, and on the disk. It must not be used again: the guest may have
 *   written to the same places of the top since.
 */
import { rm } from 'node:fs/promises'
import { fsFailure } from '../platform/atomic-file.ts'
import { blockdevDel, type Job, queryBlock, queryJobs, queryNamedBlockNodes } from '../qemu/qmp/commands.ts'
import type { QmpSession } from '../qemu/qmp/session.ts'

/** A disk of a guest: the node that its definition names, and its top layer. */
export interface FreezableDisk {
  nodeName: string
  topPath: string
}

export interface OverlayFiles {
  part: string
  live: string
  done: string
}

export function overlayFiles(topPath: string): OverlayFiles {
  const stem = topPath.replace(/\.qcow2$/, '')
  return { part: `${stem}.live.part`, live: `${stem}.live.qcow2`, done: `${stem}.done.qcow2` }
}

export function overlayNode(nodeName: string): string {
  return `${nodeName}-live`
}

/** The job that brings an overlay's contents into the top. */
export function commitJobId(nodeName: string): string {
  return `thaw-${nodeName}`
}

export interface OverlayState {
  /** `spare`: QEMU has it open, but the guest does not write to it. */
  kind: 'absent' | 'spare' | 'in-use'
  job: Job | null
}

export async function overlayState(qmp: QmpSession, { nodeName }: FreezableDisk): Promise<OverlayState> {
  const name = overlayNode(nodeName)
  const [nodes, devices, jobs] = await Promise.all([
    queryNamedBlockNodes(qmp),
    queryBlock(qmp),
    queryJobs(qmp),
  ])
  const job = jobs.find(({ id }) => id === commitJobId(nodeName)) ?? null
  if (!nodes.some((node) => node['node-name'] === name)) return { kind: 'absent', job }
  const isInUse = devices.some((device) => device.inserted?.['node-name'] === name)
  return { kind: isInUse ? 'in-use' : 'spare', job }
}

/** Closes an overlay that the guest does not write to, if QEMU has it open. */
export async function closeOverlay(qmp: QmpSession, { nodeName }: FreezableDisk): Promise<void> {
  const name = overlayNode(nodeName)
  const nodes = await queryNamedBlockNodes(qmp)
  if (nodes.some((node) => node['node-name'] === name)) await blockdevDel(qmp, name)
}

/** Removes an overlay's files. Only for one that is not in use, by what a running QEMU says. */
export async function removeOverlayFiles({ topPath }: FreezableDisk): Promise<void> {
  try {
    for (const path of Object.values(overlayFiles(topPath))) await rm(path, { force: true })
  } catch (error) {
    throw fsFailure(error, topPath)
  }
}
