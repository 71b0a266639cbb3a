/**
 * Brings what is missing of a restored guest's disk into its top layer: by a job of QEMU while the guest runs, by qemu-img
 * while it is off. Promises that both can be broken off at any moment and called again, by another host too, and that
 * afterwards the disk stands alone. Relies on the missing part being served where QEMU was told.
 */
import { isCode } from '../../../shared/errors/index.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { remoteNodeName } from '../../qemu/command-line.ts'
import {
  blockStream,
  type Job,
  jobDismiss,
  queryBlockJobs,
  queryJobs,
  queryNamedBlockNodes,
} from '../../qemu/qmp/commands.ts'
import type { QmpSession } from '../../qemu/qmp/session.ts'

export interface StreamOptions {
  clock: Clock
  log: Log
  signal: AbortSignal
  /** Of this disk, 0 to 1. */
  onProgress(fraction: number): void
}

const lookEveryMs = 200
/** A full disk, or a store that gave up: people see it wait. */
const tryAgainMs = 3000

/** Resolves when QEMU needs nothing but the top layer. @throws qemu.gone, what `signal` says */
export async function streamDisk(qmp: QmpSession, nodeName: string, options: StreamOptions): Promise<void> {
  const { clock, log, signal } = options
  for (;;) {
    signal.throwIfAborted()
    try {
      if (await step(qmp, nodeName, options)) return
    } catch (error) {
      // What the guest reads of a disk that is not served yet can hold up all of QEMU, until its NBD client looks again:
      // every 16 s in the end (nbd/client-connection.c).
      if (!isCode(error, 'qemu.silent')) throw error
      log.warn('QEMU does not answer while a disk arrives', { nodeName })
      await clock.sleep(tryAgainMs, signal)
    }
  }
}

/** @returns whether the disk is here */
async function step(qmp: QmpSession, nodeName: string, options: StreamOptions): Promise<boolean> {
  const { clock, log, signal } = options
  const jobId = streamJobId(nodeName)
  const job = (await queryJobs(qmp)).find(({ id }) => id === jobId)
  if (job === undefined) {
    if (!(await hasRemote(qmp, nodeName))) return true
    await blockStream(qmp, { jobId, node: nodeName })
  } else if (job.status === 'concluded') {
    await jobDismiss(qmp, jobId)
    if (job.error === undefined) return false
    log.warn('a disk did not arrive, and is tried again', { nodeName, error: job.error })
    await clock.sleep(tryAgainMs, signal)
  } else {
    await tellProgress(qmp, job, options)
    await clock.sleep(lookEveryMs, signal)
  }
  return false
}

export function streamJobId(nodeName: string): string {
  return `restore-${nodeName}`
}

/** The node goes by itself when the job has ended well. */
async function hasRemote(qmp: QmpSession, nodeName: string): Promise<boolean> {
  const nodes = await queryNamedBlockNodes(qmp)
  return nodes.some((node) => node['node-name'] === remoteNodeName(nodeName))
}

async function tellProgress(qmp: QmpSession, { id }: Job, { onProgress }: StreamOptions): Promise<void> {
  const found = (await queryBlockJobs(qmp)).find(({ device }) => device === id)
  if (found !== undefined && found.len > 0) onProgress(found.offset / found.len)
}
