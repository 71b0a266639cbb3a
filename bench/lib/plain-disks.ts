/** The disks of the peer: exported by the QEMU that waits, mirrored to it over NBD by the one that the guest leaves. */
import {
  blockdevAdd,
  blockdevDel,
  blockdevMirror,
  blockExportAdd,
  blockExportDel,
  blockJobCancel,
  nbdServerStop,
} from '../../electron/qemu/qmp/commands.ts'
import type { QmpSession } from '../../electron/qemu/qmp/session.ts'

const port = 10_809
const timeoutMs = 180_000

export async function exportDisks(qmp: QmpSession, nodes: readonly string[], host: string): Promise<void> {
  const addr = { type: 'inet', data: { host, port: String(port) } }
  await qmp.execute('nbd-server-start', { addr })
  for (const nodeName of nodes) {
    await blockExportAdd(qmp, { id: exportId(nodeName), nodeName, name: nodeName, writable: true })
  }
}

export async function endExports(qmp: QmpSession, nodes: readonly string[]): Promise<void> {
  for (const node of nodes) await blockExportDel(qmp, exportId(node), 'hard')
  await nbdServerStop(qmp)
}

/** @returns once both disks are equal and stay so */
export async function mirror(qmp: QmpSession, nodeName: string, host: string): Promise<void> {
  const { jobId, target } = jobOf(nodeName)
  const server = { type: 'inet', host, port: String(port) }
  await blockdevAdd(qmp, { driver: 'nbd', 'node-name': target, server, export: nodeName, discard: 'unmap' })
  const ready = jobEvent(qmp, 'BLOCK_JOB_READY', jobId)
  await blockdevMirror(qmp, { jobId, device: nodeName, target, sync: 'top', copyMode: 'write-blocking' })
  await ready
}

export async function endMirror(qmp: QmpSession, nodeName: string): Promise<void> {
  const { jobId, target } = jobOf(nodeName)
  const over = jobEvent(qmp, 'BLOCK_JOB_COMPLETED', jobId)
  await blockJobCancel(qmp, jobId, false)
  await over
  await blockdevDel(qmp, target)
}

function exportId(nodeName: string): string {
  return `export-${nodeName}`
}

function jobOf(nodeName: string): { jobId: string; target: string } {
  return { jobId: `mirror-${nodeName}`, target: `target-${nodeName}` }
}

async function jobEvent(qmp: QmpSession, name: string, jobId: string): Promise<void> {
  await qmp.waitForEvent((event) => event.name === name && event.data.device === jobId, { timeoutMs })
}
