/** Single steps of a departure that need little of it. */
import type { Duplex } from 'node:stream'
import { fail } from '../../../shared/errors/index.ts'
import { sendLayer } from '../../disk/layer-transfer.ts'
import type { MirrorJob } from '../../disk/mirror.ts'
import type { DepartureMeter } from './departure-meter.ts'
import type { GuestOffer, StreamHeader } from './messages.ts'
import type { DockingParts } from './parts.ts'
import type { Relay } from './relay.ts'
import { mirrorEndMs } from './tuning.ts'

export interface Sending {
  parts: Pick<DockingParts, 'layers' | 'bootFiles'>
  meter: DepartureMeter
  migrationId: string
  signal: AbortSignal
  openStream(header: StreamHeader): Promise<Duplex>
}

/** Sends the layers and boot files that the other side lacks, one after the other. */
export async function sendMissing(offer: GuestOffer, sending: Sending): Promise<void> {
  const { parts, meter, migrationId, signal, openStream } = sending
  for (const layer of offer.layers.filter((each) => meter.isMissing(each.id))) {
    const stream = await openStream({ kind: 'layer', migrationId, layer })
    try {
      await sendLayer(stream, parts.layers, layer.id, {
        signal,
        onProgress: ({ doneBytes }) => meter.fileProgress(layer.id, doneBytes),
      })
    } finally {
      stream.destroy()
    }
  }
  for (const file of offer.bootFiles.filter((each) => meter.isMissing(each.id))) {
    const stream = await openStream({ kind: 'boot-file', migrationId, file })
    try {
      await parts.bootFiles.send(file.id, stream, signal)
      meter.fileProgress(file.id, file.sizeBytes)
    } finally {
      stream.destroy()
    }
  }
}

/** As the other dock tells of itself; its QEMU has the last word. @throws migration.post_copy_impossible */
export function assertTakesPostCopy(
  { store }: Pick<DockingParts, 'store'>,
  name: string,
  to: { dockId: string; name: string },
): void {
  const why = store.state.docks.find((dock) => dock.id === to.dockId)?.capabilities?.postCopyProblem ?? null
  if (why !== null) throw fail('migration.post_copy_impossible', { name, dock: to.name, why })
}

/** Resolves when the signal fires. */
export function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/**
 * Every write of the guest waits for the far side while a mirror is on: one that does not answer is cut off, which
 * ends the mirror as well.
 */
export async function endMirror(job: MirrorJob, relay: Relay): Promise<void> {
  const timer = setTimeout(() => void relay.close(), mirrorEndMs)
  try {
    await job.abort()
  } finally {
    clearTimeout(timer)
  }
}
