import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mebibyteBytes } from '../../shared/models/guest-definition.ts'
import { silentLog } from '../platform/log.ts'
import { isAlive, signalProcess, waitUntilDead } from '../platform/processes.ts'
import { readNote } from '../qemu/capture/note.ts'
import { startReceiver } from '../qemu/capture/testing/receiver.ts'
import {
  queryBlockExports,
  queryJobs,
  queryMigrateCapabilities,
  queryMigrateParameters,
  queryNamedBlockNodes,
  queryStatus,
} from '../qemu/qmp/commands.ts'
import { QmpSession } from '../qemu/qmp/session.ts'
import { pause, resume } from '../qemu/screen.ts'
import { QemuBench } from '../qemu/test-guests.ts'
import { captureGuest, settleGuestCapture } from './capture-guest.ts'
import { exportFrozen, frozenExportName } from './frozen-export.ts'
import {
  captureOnce,
  type Death,
  dyingSession,
  type FrozenTestGuest,
  guestWrites,
  missingPatterns,
  startTestGuest,
} from './frozen-test-guest.ts'
import { checkImage, createEmpty } from './image.ts'
import { startMirror } from './mirror.ts'
import { NbdClient } from './nbd-client.ts'
import { overlayFiles } from './overlay.ts'
import { recoverOverlays } from './recover-overlays.ts'
import { thawDisks } from './thaw.ts'

let bench: QemuBench
let guest: FrozenTestGuest
beforeEach(async () => {
  bench = await QemuBench.make()
  guest = await startTestGuest(bench, 'vm')
})
afterEach(async () => {
  await bench.end()
})

/** Everything of QEMU that a capture touches. */
async function stateOf(qmp: QmpSession): Promise<unknown> {
  const nodes = await queryNamedBlockNodes(qmp)
  return {
    status: await queryStatus(qmp),
    nodes: nodes.map((node) => [node['node-name'], node.ro, node.file]).toSorted(),
    jobs: await queryJobs(qmp),
    exports: await queryBlockExports(qmp),
    capabilities: (await queryMigrateCapabilities(qmp))
      .filter(({ capability }) => capability !== 'events')
      .filter(({ state }) => state),
    parameters: await queryMigrateParameters(qmp),
    files: readdirSync(guest.folder).toSorted(),
  }
}

async function reconnect(): Promise<QmpSession> {
  guest.qemu.qmp.close()
  return await QmpSession.connect(guest.qemu.sockets.qmp, { timeoutMs: 10_000 })
}

async function expectDisk(patterns: readonly (readonly [string, string])[]): Promise<void> {
  expect(missingPatterns(guest.disk.topPath, patterns)).toEqual([])
  expect(await checkImage(guest.disk.topPath)).toMatchObject({ clean: true })
}

describe('a capture of a running guest', () => {
  it('freezes its disk, and leaves QEMU as it was once that is thawed, twice in a row', async () => {
    const { qmp } = guest.qemu
    await guestWrites(qmp, '0x22', '2M')
    const before = await stateOf(qmp)
    for (const [pattern, offset] of [
      ['0x33', '3M'],
      ['0x44', '2M'],
    ] as const) {
      const capture = await captureOnce(guest)
      expect(capture).toMatchObject({ route: 'pre-copy', wasRunning: true })
      expect(capture.freezeMs).toBeGreaterThan(0)
      expect(Math.abs(capture.atMs - Date.now())).toBeLessThan(10_000)
      const frozen = `${bench.dir}/frozen-${pattern}.qcow2`
      await copyFile(guest.disk.topPath, frozen)
      await guestWrites(qmp, pattern, offset)
      await guestWrites(qmp, '0x55', '0')
      expect(execFileSync('cmp', [frozen, guest.disk.topPath]).toString(), 'the top stays as it was').toBe('')
      await thawDisks(qmp, [guest.disk])
      expect(await stateOf(qmp)).toEqual(before)
    }
    await guestWrites(qmp, '0x66', '6M')
    await guest.qemu.quit({ graceMs: 5000 })
    await expectDisk([
      ['0x55', '0'],
      ['0x44', '2M'],
      ['0x33', '3M'],
      ['0x66', '6M'],
    ])
  })

  it('lets the frozen disk be read over NBD, layer by layer, while the guest writes', async () => {
    const { qmp, sockets } = guest.qemu
    await guestWrites(qmp, '0x22', '2M')
    await captureOnce(guest)
    await exportFrozen(qmp, [guest.disk], sockets.nbd)
    await guestWrites(qmp, '0x77', '0')
    await guestWrites(qmp, '0x77', '2M')
    const client = await NbdClient.connect({
      socketPath: sockets.nbd,
      exportName: frozenExportName('disk0'),
      contexts: ['base:allocation', 'qemu:allocation-depth'],
    })
    const extents: number[][] = []
    for await (const { offset, lengthBytes, flags } of client.blockStatus()) {
      extents.push([offset / mebibyteBytes, lengthBytes / mebibyteBytes, flags[1] ?? -1])
    }
    expect(extents, 'offset, length, depth').toEqual([
      [0, 1, 2],
      [1, 1, 0],
      [2, 1, 1],
      [3, 61, 0],
    ])
    expect((await client.read(0, mebibyteBytes)).every((byte) => byte === 0x11)).toBe(true)
    expect((await client.read(2 * mebibyteBytes, mebibyteBytes)).every((byte) => byte === 0x22)).toBe(true)
    // A reader that never hangs up does not hold up the thaw.
    await thawDisks(qmp, [guest.disk])
    expect(await queryBlockExports(qmp)).toEqual([])
    await client.close()
    await captureOnce(guest)
    await exportFrozen(qmp, [guest.disk], sockets.nbd)
    await exportFrozen(qmp, [guest.disk], sockets.nbd)
    await thawDisks(qmp, [guest.disk])
  })

  it('does not freeze what is frozen already', async () => {
    await captureOnce(guest)
    const frozen = await stateOf(guest.qemu.qmp)
    await expect(captureOnce(guest)).rejects.toMatchObject({ code: 'disk.frozen_already' })
    expect(await stateOf(guest.qemu.qmp)).toEqual(frozen)
  })

  it('leaves the disk to be mirrored as before', async () => {
    const { qmp, sockets } = guest.qemu
    await captureOnce(guest)
    await guestWrites(qmp, '0x22', '2M')
    await thawDisks(qmp, [guest.disk])
    const target = `${bench.dir}/target.qcow2`
    await createEmpty(target, 64 * mebibyteBytes)
    const server = spawn('qemu-nbd', ['-f', 'qcow2', '-x', 'disk0', '-k', sockets.nbd, target])
    const gone = new Promise((resolve) => server.once('exit', resolve))
    await expect.poll(() => existsSync(sockets.nbd)).toBe(true)
    const job = await startMirror(qmp, {
      nodeName: 'disk0',
      nbdSocketPath: sockets.nbd,
      exportName: 'disk0',
    })
    await job.ready
    await guestWrites(qmp, '0x33', '3M')
    await job.complete()
    await gone
    expect(
      missingPatterns(target, [
        ['0x22', '2M'],
        ['0x33', '3M'],
      ]),
    ).toEqual([])
  })

  it('is thawed by a new host that knows only QEMU', async () => {
    const before = await stateOf(guest.qemu.qmp)
    await captureOnce(guest)
    await guestWrites(guest.qemu.qmp, '0x22', '2M')
    await exportFrozen(guest.qemu.qmp, [guest.disk], guest.qemu.sockets.nbd)
    const qmp = await reconnect()
    await settleGuestCapture(qmp, [guest.disk])
    expect(await stateOf(qmp)).toEqual(before)
    qmp.close()
    await guest.qemu.kill()
    await expectDisk([['0x22', '2M']])
  })
})

describe('a capture of a paused guest', () => {
  it('leaves it paused, able to be captured and thawed again, and to go on', async () => {
    const { qmp } = guest.qemu
    await pause(qmp)
    const before = await stateOf(qmp)
    for (const route of ['pre-copy', 'background-snapshot'] as const) {
      const capture = await captureOnce(guest, { route })
      expect(capture).toMatchObject({ route: 'pre-copy', freezeMs: null, wasRunning: false })
      expect(await queryStatus(qmp)).toMatchObject({ running: false, status: 'paused' })
      await thawDisks(qmp, [guest.disk])
      expect(await stateOf(qmp)).toEqual(before)
    }
    await resume(qmp)
    await guestWrites(qmp, '0x22', '2M')
    expect((await queryStatus(qmp)).running).toBe(true)
  })
})

describe('a capture that comes to nothing', () => {
  it('leaves everything as it was when it is cancelled while memory is copied', async () => {
    const { qmp, sockets } = guest.qemu
    const before = await stateOf(qmp)
    const receiver = await startReceiver(sockets.outgoing, { manner: 'stall' })
    const { socketPath, firstPart } = receiver
    const abort = new AbortController()
    const options = { route: 'pre-copy', socketPath, firstPart, disks: [guest.disk], log: silentLog } as const
    const capture = captureGuest(qmp, { ...options, signal: abort.signal })
    await wait(500)
    abort.abort()
    await expect(capture).rejects.toMatchObject({ code: 'host.cancelled' })
    expect(await stateOf(qmp)).toEqual(before)
    await receiver.kill()
  })

  it('leaves everything as it was when its receiver dies or was never there', async () => {
    const { qmp, sockets } = guest.qemu
    const before = await stateOf(qmp)
    const receiver = await startReceiver(sockets.outgoing, { manner: 'stall' })
    const options = { route: 'pre-copy', disks: [guest.disk], log: silentLog } as const
    const capture = captureGuest(qmp, { ...options, ...receiver })
    await wait(300)
    await receiver.kill()
    await expect(capture).rejects.toMatchObject({ code: 'qemu.migration_failed' })
    expect(await stateOf(qmp)).toEqual(before)
    await expect(
      captureGuest(qmp, { ...options, ...receiver, socketPath: `${bench.dir}/nobody` }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^qemu\./) })
    expect(await stateOf(qmp)).toEqual(before)
  })

  it('leaves everything as it was when the disk cannot be frozen', async () => {
    const { qmp } = guest.qemu
    const before = await stateOf(qmp)
    const disks = [guest.disk, { nodeName: 'disk9', topPath: `${guest.folder}/l9.qcow2` }]
    await expect(captureOnce(guest, { disks })).rejects.toMatchObject({ code: 'disk.freeze_failed' })
    expect(await stateOf(qmp)).toEqual(before)
  })
})

/** Commands of a capture, and of a thaw, at which something may die. */
const captureDeaths: [string, Death][] = [
  ['blockdev-add', 'after'],
  ['migrate-set-capabilities', 'after'],
  ['migrate', 'before'],
  ['migrate', 'after'],
  ['transaction', 'before'],
  ['transaction', 'after'],
  ['cont', 'after'],
  ['blockdev-del', 'after'],
]
const thawDeaths: [string, Death][] = [
  ['block-commit', 'after'],
  ['job-complete', 'after'],
  ['job-finalize', 'before'],
  ['job-finalize', 'after'],
  ['job-dismiss', 'after'],
  ['blockdev-del', 'after'],
]

describe('a host that dies in the middle', () => {
  it('of a capture leaves a guest that the next host finds and puts right', async () => {
    const before = await stateOf(guest.qemu.qmp)
    guest.qemu.qmp.close()
    const { sockets } = guest.qemu
    for (const [at, death] of captureDeaths) {
      const dying = await dyingSession(sockets.qmp, (command) => (command === at ? death : null))
      await captureOnce(guest, { qmp: dying }).catch(() => {})
      dying.close()
      const qmp = await QmpSession.connect(sockets.qmp, { timeoutMs: 10_000 })
      // A guest that stands still does not write.
      if ((await queryStatus(qmp)).running) await guestWrites(qmp, '0x22', '2M')
      await settleGuestCapture(qmp, [guest.disk])
      expect(await stateOf(qmp), `${death} ${at}`).toEqual(before)
      expect(await readNote(qmp)).toBeNull()
      qmp.close()
    }
    await guest.qemu.kill()
    await expectDisk([['0x22', '2M']])
  })

  it('of a thaw leaves one that the next host finishes', async () => {
    const before = await stateOf(guest.qemu.qmp)
    const { sockets } = guest.qemu
    let { qmp } = guest.qemu
    for (const [number, [at, death]] of thawDeaths.entries()) {
      await captureOnce(guest, { qmp })
      const pattern = `0x${(number + 0x20).toString(16)}`
      await guestWrites(qmp, pattern, '2M')
      qmp.close()
      const dying = await dyingSession(sockets.qmp, (command) => (command === at ? death : null))
      await expect(thawDisks(dying, [guest.disk])).rejects.toMatchObject({ code: 'qemu.gone' })
      qmp = await QmpSession.connect(sockets.qmp, { timeoutMs: 10_000 })
      await settleGuestCapture(qmp, [guest.disk])
      expect(await stateOf(qmp), `${death} ${at}`).toEqual(before)
    }
    qmp.close()
    await guest.qemu.kill()
    await expectDisk([['0x25', '2M']])
  })
})

describe('a QEMU that dies while the disk is frozen', () => {
  it('loses nothing of what the guest has on its disk, wherever the thaw had come to', async () => {
    await guest.qemu.kill()
    const moments: [string, Death][] = [['never', 'before'], ...thawDeaths.slice(0, 4)]
    for (const [number, [at, death]] of moments.entries()) {
      guest = await startTestGuest(bench, `vm${number}`)
      const { qemu, disk } = guest
      await guestWrites(qemu.qmp, '0x22', '2M')
      await captureOnce(guest)
      await guestWrites(qemu.qmp, '0x33', '2M')
      await guestWrites(qemu.qmp, '0x44', '0')
      qemu.qmp.close()
      const dying = await dyingSession(qemu.sockets.qmp, (command) => {
        if (command !== at) return null
        // Long enough for QEMU to have done it.
        if (death === 'after') setTimeout(() => signalProcess(qemu.identity, 'SIGKILL'), 300)
        else signalProcess(qemu.identity, 'SIGKILL')
        return death
      })
      if (at === 'never') signalProcess(qemu.identity, 'SIGKILL')
      await thawDisks(dying, [disk]).catch(() => {})
      await waitUntilDead(qemu.identity, 5000)
      expect(isAlive(qemu.identity)).toBe(false)
      await recoverOverlays([disk])
      await expectDisk([
        ['0x44', '0'],
        ['0x33', '2M'],
      ])
      expect(await recoverOverlays([disk]), `${death} ${at}`).toBe(0)
      expect(readdirSync(guest.folder).filter((name) => /live|done/.test(name))).toEqual([])
    }
  })

  it('never brings back what the guest has overwritten since', async () => {
    const { qemu, disk } = guest
    await captureOnce(guest)
    await guestWrites(qemu.qmp, '0x33', '2M')
    qemu.qmp.close()
    const dying = await dyingSession(qemu.sockets.qmp, (command) =>
      command === 'job-finalize' ? 'after' : null,
    )
    await thawDisks(dying, [disk]).catch(() => {})
    const qmp = await QmpSession.connect(qemu.sockets.qmp, { timeoutMs: 10_000 })
    // The guest writes to its top layer again, and the overlay is still there.
    await guestWrites(qmp, '0x44', '2M')
    expect(existsSync(overlayFiles(disk.topPath).done)).toBe(true)
    qmp.close()
    await qemu.kill()
    await recoverOverlays([disk])
    await expectDisk([['0x44', '2M']])
  })

  it('is recovered once more when the recovery was broken off', async () => {
    const { qemu, disk } = guest
    await captureOnce(guest)
    await guestWrites(qemu.qmp, '0x33', '2M')
    await expect(recoverOverlays([disk]), 'while it lives').rejects.toMatchObject({ code: 'disk.locked' })
    await qemu.kill()
    const abort = new AbortController()
    const broken = recoverOverlays([disk], { signal: abort.signal })
    abort.abort()
    await expect(broken).rejects.toMatchObject({ code: 'host.cancelled' })
    expect(await recoverOverlays([disk])).toBe(1)
    await expectDisk([['0x33', '2M']])
  })
})
