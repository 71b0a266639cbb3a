/**
 * The top layer follows the guest: the destination's QEMU exports its empty top over NBD, the source's QEMU
 * mirrors its own into it, every write reaching both once the mirror is ready (`write-blocking`), until the
 * guest stands still at the switchover and the mirror is ended. Promises that a mirror which fails or is
 * aborted leaves the source's disk as it was and no job or node behind.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { fail, type WdockError } from '../../shared/errors/index.ts'
import {
  blockdevAdd,
  blockdevDel,
  blockdevMirror,
  blockExportAdd,
  blockExportDel,
  blockJobCancel,
  nbdServerStart,
  nbdServerStop,
  queryBlockExports,
  queryBlockJobs,
} from '../qemu/qmp/commands.ts'
import type { QmpEvent } from '../qemu/qmp/messages.ts'
import type { QmpSession } from '../qemu/qmp/session.ts'

/** The NBD export of a disk has the name of its node, so that both sides know it. */
export function exportName(nodeName: string): string {
  return nodeName
}

/**
 * Destination: lets the source write into these disks through one NBD server on a unix socket. The QEMU must
 * still wait for its migration. @throws disk.mirror_failed; then nothing is exported
 */
export async function exportForMirror(
  qmp: QmpSession,
  nodeNames: string | readonly string[],
  nbdSocketPath: string,
): Promise<void> {
  const names = typeof nodeNames === 'string' ? [nodeNames] : nodeNames
  try {
    await nbdServerStart(qmp, nbdSocketPath)
    for (const nodeName of names) {
      const name = exportName(nodeName)
      await blockExportAdd(qmp, { id: `export-${nodeName}`, nodeName, name, writable: true })
    }
  } catch (error) {
    await nbdServerStop(qmp).catch(() => {})
    throw mirrorFailure(error)
  }
}

/** Destination, after the switchover and before the guest runs: ends every export and the server. */
export async function endExport(qmp: QmpSession): Promise<void> {
  try {
    for (const entry of await queryBlockExports(qmp)) {
      if (!entry['shutting-down']) await blockExportDel(qmp, entry.id, 'hard')
    }
    await nbdServerStop(qmp)
  } catch (error) {
    throw mirrorFailure(error)
  }
}

export interface MirrorTarget {
  /** The disk's node on the source. */
  nodeName: string
  /** Where the source's QEMU reaches the destination's NBD server. */
  nbdSocketPath: string
  exportName: string
  /** 0 is no limit. */
  speedBytesPerSecond?: number
}

/** Source: starts a mirror. @throws disk.mirror_failed, disk.mirror_full; then nothing is left of it */
export async function startMirror(qmp: QmpSession, target: MirrorTarget): Promise<MirrorJob> {
  const jobId = mirrorId(target.nodeName)
  const targetNode = mirrorTarget(target.nodeName)
  const job = new MirrorJob(qmp, jobId, targetNode)
  try {
    await blockdevAdd(qmp, {
      driver: 'nbd',
      'node-name': targetNode,
      server: { type: 'unix', path: target.nbdSocketPath },
      export: target.exportName,
      discard: 'unmap',
    })
  } catch (error) {
    job.forget()
    throw mirrorFailure(error)
  }
  try {
    await blockdevMirror(qmp, {
      jobId,
      device: target.nodeName,
      target: targetNode,
      sync: 'top',
      copyMode: 'write-blocking',
      speedBytesPerSecond: target.speedBytesPerSecond ?? 0,
    })
    return job
  } catch (error) {
    job.forget()
    await blockdevDel(qmp, targetNode).catch(() => {})
    throw mirrorFailure(error)
  }
}

/**
 * Source: ends whatever mirrors of these disks an earlier host left in QEMU, and their targets. The disks
 * themselves are not touched. @throws disk.mirror_failed when one does not end
 */
export async function removeMirrors(qmp: QmpSession, nodeNames: readonly string[]): Promise<void> {
  const ids = nodeNames.map((nodeName) => mirrorId(nodeName))
  const endMs = performance.now() + endingMs
  for (;;) {
    const left = (await queryBlockJobs(qmp)).filter((job) => ids.includes(job.device))
    if (left.length === 0) break
    if (performance.now() > endMs) throw mirrorFailure('a mirror of an earlier host did not end')
    for (const job of left) await blockJobCancel(qmp, job.device, true).catch(() => {})
    await wait(20)
  }
  for (const nodeName of nodeNames) await blockdevDel(qmp, mirrorTarget(nodeName)).catch(() => {})
}

function mirrorId(nodeName: string): string {
  return `mirror-${nodeName}`
}

function mirrorTarget(nodeName: string): string {
  return `mirror-${nodeName}-target`
}

type MirrorState =
  | { kind: 'copying' }
  | { kind: 'ready' }
  /** Ended because we asked. */
  | { kind: 'ended' }
  | { kind: 'failed'; error: WdockError }

const endingMs = 30_000

export class MirrorJob {
  readonly jobId: string
  /** Resolves when both disks are equal and stay so; rejects when the job ends before. */
  readonly ready: Promise<void>
  /** Resolves with the reason when the job ends unasked, at any time; never rejects. */
  readonly failed: Promise<WdockError>
  readonly #qmp: QmpSession
  readonly #targetNode: string
  readonly #ready = Promise.withResolvers<void>()
  readonly #failed = Promise.withResolvers<WdockError>()
  readonly #over = Promise.withResolvers<void>()
  readonly #stopListening: () => void
  readonly #stopClose: () => void
  #state: MirrorState = { kind: 'copying' }
  #asked = false
  #lastProgress = { doneBytes: 0, totalBytes: 0 }

  constructor(qmp: QmpSession, jobId: string, targetNode: string) {
    this.#qmp = qmp
    this.jobId = jobId
    this.#targetNode = targetNode
    this.ready = this.#ready.promise
    this.failed = this.#failed.promise
    // Nobody need wait for `ready`; a failure is told by `failed` as well.
    this.ready.catch(() => {})
    this.#stopListening = qmp.onEvent((event) => this.#onEvent(event))
    this.#stopClose = qmp.onClose((error) => this.#end(mirrorFailure(error)))
  }

  /** Bytes copied and to copy; both grow while the guest writes. The last known ones once it has ended. */
  async progress(): Promise<{ doneBytes: number; totalBytes: number }> {
    if (this.#state.kind === 'copying' || this.#state.kind === 'ready') {
      const job = (await queryBlockJobs(this.#qmp)).find((entry) => entry.device === this.jobId)
      if (job) this.#lastProgress = { doneBytes: job.offset, totalBytes: job.len }
    }
    return this.#lastProgress
  }

  /**
   * Ends a ready mirror at a moment at which the guest stands still: both disks are equal. Cancelling a ready
   * mirror without force completes it in step. @throws disk.mirror_failed when it is not ready or has failed
   */
  async complete(): Promise<void> {
    if (this.#state.kind !== 'ready') {
      throw this.#state.kind === 'failed'
        ? this.#state.error
        : mirrorFailure(`the job is ${this.#state.kind}`)
    }
    await this.#askToEnd(false)
    if (this.#failure()) throw this.#failure()
    await this.#removeTarget()
  }

  /** Ends the mirror wherever it is; the source's disk is not touched. Never throws for one that has ended. */
  async abort(): Promise<void> {
    if (!this.#qmp.isClosed) {
      if (this.#state.kind === 'copying' || this.#state.kind === 'ready') {
        await this.#askToEnd(true).catch(() => {})
      }
      await this.#removeTarget().catch(() => {})
    }
    this.forget()
  }

  /** Stops listening. */
  forget(): void {
    this.#stopListening()
    this.#stopClose()
  }

  #failure(): WdockError | null {
    return this.#state.kind === 'failed' ? this.#state.error : null
  }

  async #askToEnd(force: boolean): Promise<void> {
    this.#asked = true
    try {
      await blockJobCancel(this.#qmp, this.jobId, force)
    } catch (error) {
      // The job may have ended in this very moment; then its event has come or comes.
      if (this.#state.kind === 'copying' || this.#state.kind === 'ready') throw mirrorFailure(error)
    }
    const timeout = new AbortController()
    const late = wait(endingMs, 'late' as const, { signal: timeout.signal }).catch(() => 'over' as const)
    const outcome = await Promise.race([this.#over.promise.then(() => 'over' as const), late])
    timeout.abort()
    if (outcome === 'late') throw mirrorFailure(`the job did not end within ${endingMs / 1000} s`)
  }

  /** The job lets go of its target a moment after its last event. */
  async #removeTarget(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await blockdevDel(this.#qmp, this.#targetNode)
        return
      } catch (error) {
        if (attempt === 10) throw mirrorFailure(error)
        await wait(20)
      }
    }
  }

  #onEvent(event: QmpEvent): void {
    if (event.data.device !== this.jobId) return
    if (event.name === 'BLOCK_JOB_READY') {
      this.#state = { kind: 'ready' }
      this.#ready.resolve()
    } else if (event.name === 'BLOCK_JOB_COMPLETED' || event.name === 'BLOCK_JOB_CANCELLED') {
      const { len, offset, error } = event.data
      if (typeof len === 'number' && typeof offset === 'number') {
        this.#lastProgress = { doneBytes: offset, totalBytes: len }
      }
      const text = typeof error === 'string' ? error : null
      const asExpected = this.#asked && text === null
      this.#end(asExpected ? null : mirrorFailure(text ?? 'the job ended by itself'))
    }
  }

  #end(error: WdockError | null): void {
    if (this.#state.kind === 'ended' || this.#state.kind === 'failed') return
    this.#state = error === null ? { kind: 'ended' } : { kind: 'failed', error }
    this.#ready.reject(error ?? mirrorFailure('the mirror was ended'))
    if (error !== null) this.#failed.resolve(error)
    this.#over.resolve()
    this.forget()
  }
}

/**
 * Any reason as disk.mirror_failed, told in the detail; as disk.mirror_full where QEMU names ENOSPC (strerror): a
 * mirror writes nowhere but to its target.
 */
function mirrorFailure(reason: unknown): WdockError {
  const detail = reason instanceof Error ? detailOf(reason) : String(reason)
  const isFull = /No space left on device|Disk quota exceeded/.test(detail)
  return fail(isFull ? 'disk.mirror_full' : 'disk.mirror_failed', {}, { detail, cause: reason })
}

function detailOf(error: Error): string {
  return 'detail' in error && typeof error.detail === 'string' ? error.detail : error.message
}
