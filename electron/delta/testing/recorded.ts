/**
 * Streams that a real QEMU wrote, through the codec and back: for tests. Promises to say where what comes out is not what
 * went in. Relies on the demo guest.
 */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { openKept } from '../../pages/kept/kept-pages.ts'
import {
  clearCapabilities,
  continueFromPreSwitchover,
  setCapabilities,
  startMigration,
  unixUri,
  waitForMigrationStatus,
} from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import { resume } from '../../qemu/screen.ts'
import { cutAt } from '../../qemu/stream/testing/sample-streams.ts'
import { pump } from './pump.ts'

/** Nobody answers here: without a return path. */
const capabilities = ['events', 'pause-before-switchover', 'auto-converge']
const timeoutMs = 60_000

/** All that QEMU writes for a move of the guest, which runs on afterwards. */
export async function recordMove(qemu: QemuProcess): Promise<Buffer> {
  const { qmp, sockets } = qemu
  const recorded = Promise.withResolvers<Buffer>()
  const server = createServer((socket) => {
    server.close()
    buffer(socket).then(recorded.resolve, recorded.reject)
  })
  await new Promise<void>((resolve) => server.listen(sockets.outgoing, resolve))
  await setCapabilities(qmp, capabilities)
  await startMigration(qmp, unixUri(sockets.outgoing))
  await waitForMigrationStatus(qmp, ['pre-switchover'], { timeoutMs })
  await continueFromPreSwitchover(qmp)
  await waitForMigrationStatus(qmp, ['completed'], { timeoutMs })
  const stream = await recorded.promise
  await clearCapabilities(qmp, capabilities)
  await resume(qmp)
  return stream
}

export interface Crossed {
  isSame: boolean
  /** All of its memory was understood. */
  isWhole: boolean
  repairedPages: number
  /** What crossed the link, of what the stream has. */
  share: number
}

/** Each stream from one dock to the other and the next one back, cut into pieces at any place. @param cuts offsets, modulo */
export async function crossToAndFro(
  folder: string,
  streams: readonly Buffer[],
  cuts: readonly number[],
): Promise<Crossed[]> {
  const dockKey = randomBytes(32)
  const idKey = randomBytes(32)
  const docks = [join(folder, 'a'), join(folder, 'b')] as const
  for (const dock of docks) await mkdir(dock, { recursive: true })
  return streams.map((stream, index) => {
    const [from, to] = index % 2 === 0 ? docks : ([docks[1], docks[0]] as const)
    const [sender, receiver] = [openKept(from, dockKey), openKept(to, dockKey)]
    const visit = randomBytes(16)
    const done = pump(cutAt(stream, cuts), { sender, receiver, visit, idKey })
    const note = { guestId: 'recorded', guestName: 'Recorded', dockId: 'x', atMs: index }
    for (const kept of [sender, receiver]) kept.finish(visit, note)
    return {
      isSame: done.stream.equals(stream),
      isWhole: done.encoder.isWhole && done.decoder.isWhole,
      repairedPages: done.encoder.stats.repairedPages,
      share: done.forwardBytes / stream.length,
    }
  })
}
