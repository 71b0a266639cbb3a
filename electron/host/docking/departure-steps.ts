/** Single steps of a departure that need little of it. */
import type { Duplex } from 'node:stream'
import { sendLayer } from '../../disk/layer-transfer.ts'
import type { MirrorJob } from '../../disk/mirror.ts'
import { setCapabilities, setParameters, startMigration, unixUri } from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import type { DepartureMeter } from './departure-meter.ts'
import type { GuestOffer, StreamHeader } from './messages.ts'
import type { DockingParts } from './parts.ts'
import type { Relay } from './relay.ts'
import { downtimeLimitMs, mirrorEndMs } from './tuning.ts'

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

/**
 * Begins the pre-copy into a socket from which nobody reads yet. QEMU needs up to some tenths of a second before its
 * first byte, to find what is dirty: the other side starts its QEMU meanwhile.
 */
export async function beginPreCopy({ qmp, sockets }: QemuProcess): Promise<void> {
  await setCapabilities(qmp)
  await setParameters(qmp, { maxBandwidthBytesPerSecond: 0, downtimeLimitMs })
  await startMigration(qmp, unixUri(sockets.outgoing))
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
