/**
 * For tests: a small emulated guest without an operating system, whose disk is written as its own controller would, and
 * monitor connections that break off at a chosen command, as if the host had died there.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { connect } from 'node:net'
import { PassThrough, Writable } from 'node:stream'
import { mebibyteBytes } from '../../shared/models/guest-definition.ts'
import { silentLog } from '../platform/log.ts'
import { startReceiver } from '../qemu/capture/testing/receiver.ts'
import type { LaunchSpec } from '../qemu/command-line.ts'
import type { QemuProcess } from '../qemu/process.ts'
import { QmpSession } from '../qemu/qmp/session.ts'
import { type QemuBench, testDefinition, testSpec } from '../qemu/test-guests.ts'
import { captureGuest, type GuestCaptureOptions } from './capture-guest.ts'
import { createEmpty, createOverlay } from './image.ts'
import { backingFromLayer, newLayerId } from './layers.ts'

const virtualSizeBytes = 64 * mebibyteBytes

export interface FrozenTestGuest {
  qemu: QemuProcess
  spec: LaunchSpec
  disk: { nodeName: string; topPath: string; layerPaths: string[] }
  folder: string
}

/** A base layer with 0x11 in its first MiB, and an empty top layer. */
export async function startTestGuest(bench: QemuBench, name: string): Promise<FrozenTestGuest> {
  const folder = await bench.folder(name)
  const base = newLayerId()
  const top = newLayerId()
  const layerPath = `${folder}/${backingFromLayer(base)}`
  const topPath = `${folder}/${top}.qcow2`
  await createEmpty(layerPath, virtualSizeBytes)
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x11 0 1M', layerPath])
  await createOverlay(topPath, { backing: backingFromLayer(base), virtualSizeBytes })
  const disk = { nodeName: 'disk0', topPath, layerPaths: [layerPath] }
  const disks = [{ nodeName: 'disk0', layers: [base], top, virtualSizeBytes }]
  const definition = testDefinition({
    disks,
    memoryBytes: 128 * mebibyteBytes,
    maxMemoryBytes: 128 * mebibyteBytes,
    network: 'none',
  })
  const spec = testSpec(await bench.folder(`${name}/run`), { definition, disks: [disk] })
  return { qemu: await bench.start(spec), spec, disk, folder }
}

/** One MiB of `pattern`, through the guest's own controller, and on the disk. */
export async function guestWrites(qmp: QmpSession, pattern: string, offset: string): Promise<void> {
  const device = '/machine/peripheral/disk0-device/virtio-backend'
  for (const command of [`write -P ${pattern} ${offset} 1M`, 'flush']) {
    const said = await qmp.execute('human-monitor-command', {
      'command-line': `qemu-io -d ${device} "${command}"`,
    })
    if (said !== '') throw new Error(String(said))
  }
}

/** Which of the patterns, one MiB each, are not where they should be in an image that nobody has open. */
export function missingPatterns(
  path: string,
  wanted: readonly (readonly [pattern: string, offset: string])[],
): string[] {
  return wanted.flatMap(([pattern, offset]) => {
    const args = ['-r', '-f', 'qcow2', '-c', `read -P ${pattern} ${offset} 1M`, path]
    const { stdout, stderr, status } = spawnSync('qemu-io', args, { encoding: 'utf8' })
    if (stdout.includes('verification failed')) return [`${pattern} at ${offset}`]
    if (status !== 0) throw new Error(`qemu-io: ${stderr}`)
    return []
  })
}

/** A capture into a receiver that reads and forgets. */
export async function captureOnce(
  { qemu, disk }: FrozenTestGuest,
  changes: Partial<GuestCaptureOptions> & { qmp?: QmpSession } = {},
): Promise<Awaited<ReturnType<typeof captureGuest>>> {
  const { qmp = qemu.qmp, ...options } = changes
  const receiver = await startReceiver(qemu.sockets.outgoing)
  try {
    const { socketPath, firstPart } = receiver
    const usual = { route: 'pre-copy', socketPath, firstPart, disks: [disk], log: silentLog } as const
    const capture = await captureGuest(qmp, { ...usual, ...options })
    await receiver.ended
    return capture
  } finally {
    await receiver.kill()
  }
}

/** `before`: the command is never sent; `after`: QEMU obeys it, and its answer is lost. */
export type Death = 'before' | 'after'

/** QEMU drops what it has not begun when its monitor hangs up. */
const obeyMs = 200

/** A monitor connection that breaks off where `dies` says so; `dies` may do other harm in that moment. */
export async function dyingSession(
  socketPath: string,
  dies: (command: string) => Death | null,
): Promise<QmpSession> {
  const socket = connect({ path: socketPath })
  const input = new PassThrough()
  let isDead = false
  const end = (): void => {
    socket.destroy()
    input.destroy()
  }
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      done()
      if (isDead) return
      const death = dies(JSON.parse(chunk.toString('utf8')).execute)
      isDead = death !== null
      if (death !== 'before') socket.write(chunk)
      if (death !== null) setTimeout(end, death === 'after' ? obeyMs : 0)
    },
  })
  socket.on('data', (chunk) => isDead || input.write(chunk))
  socket.on('close', end)
  socket.on('error', end)
  return await QmpSession.over({ input, output }, { timeoutMs: 5000 })
}
