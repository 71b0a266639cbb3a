import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { WitnessReader } from '../../electron/testing/witness.ts'

const built = resolve(import.meta.dirname, '../../.cache/demo-guest')
const manifestShape = z.object({
  kernel: z.string(),
  initrd: z.string(),
  disk: z.string(),
  cmdline: z.string(),
  diskBytes: z.number(),
})
const BOOT_MS = 40_000

let folder: string
let qemu: ChildProcess | null = null
let witness: WitnessReader | null = null

/** Boots the guest on the overlay of this file's folder and waits for its first ticks. */
async function boot(): Promise<WitnessReader> {
  const manifest = manifestShape.parse(JSON.parse(readFileSync(join(built, 'manifest.json'), 'utf8')))
  const socket = (name: string) => `socket,id=${name},path=${join(folder, name)},server=on,wait=off`
  qemu = spawn(
    'qemu-system-x86_64',
    [
      ...['-machine', 'pc-q35-7.2', '-accel', 'tcg', '-cpu', 'qemu64', '-m', '256', '-display', 'none'],
      ...['-kernel', join(built, manifest.kernel), '-initrd', join(built, manifest.initrd)],
      ...['-append', manifest.cmdline, '-serial', 'null'],
      ...['-drive', `file=${join(folder, 'top.qcow2')},if=virtio,format=qcow2`],
      ...['-chardev', socket('witness'), '-serial', 'chardev:witness'],
      ...['-chardev', socket('qmp'), '-mon', 'chardev=qmp,mode=control'],
    ],
    { stdio: 'ignore' },
  )
  witness = await WitnessReader.connect(join(folder, 'witness'), { connectTimeoutMs: BOOT_MS })
  await witness.waitForTicks(100, BOOT_MS)
  return witness
}

async function cutPower() {
  witness?.close()
  if (qemu === null || qemu.exitCode !== null || qemu.signalCode !== null) return
  const gone = once(qemu, 'exit')
  qemu.kill('SIGKILL')
  await gone
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wdock-guest-'))
  const { disk } = manifestShape.parse(JSON.parse(readFileSync(join(built, 'manifest.json'), 'utf8')))
  const backing = ['-b', join(built, disk), '-F', 'qcow2']
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...backing, join(folder, 'top.qcow2')])
})
afterEach(cutPower)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the demo guest', () => {
  it('ticks without missing a number and keeps records and memory right', { timeout: 90_000 }, async () => {
    const reader = await boot()
    const ticks = reader.ticks.map((each) => each.tick)
    expect(ticks).toEqual(ticks.map((_, i) => (ticks[0] ?? 0) + i))
    expect(await reader.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })
  })

  it('works as it is told, one thing at a time, and stays whole', { timeout: 120_000 }, async () => {
    const reader = await boot()
    for (const name of ['terminal', 'video', 'mixed']) {
      expect(await reader.ask(`load ${name} 7`, BOOT_MS)).toBe('load ok')
      await reader.waitForTicks(100, BOOT_MS)
      expect(await reader.ask('load')).toMatch(new RegExp(`^load ${name} steps=[1-9]`))
    }
    expect(await reader.ask('load dirty')).toBe('load ok')
    expect(await reader.ask('load')).toMatch(/^load dirty /)
    expect(await reader.ask('load none')).toBe('load ok')
    const steps = await reader.ask('load')
    await reader.waitForTicks(50, BOOT_MS)
    expect(await reader.ask('load')).toBe(steps)
    expect(await reader.ask('load nothing-known')).toBe('load failed')
    expect(await reader.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })
  })

  it('has every record it told of after the power was cut, in a new boot', { timeout: 120_000 }, async () => {
    const before = await boot()
    const last = (await before.waitForTicks(200, BOOT_MS)).record
    const { boot: bootBefore } = await before.waitForTicks(1)
    await cutPower()
    const after = await boot()
    expect(after.lastTick?.boot).not.toBe(bootBefore)
    const { records, lost, torn } = await after.check()
    expect({ lost, torn }).toEqual({ lost: 0, torn: 0 })
    expect(last).toBeGreaterThan(10)
    expect(records).toBeGreaterThanOrEqual(last)
  })

  it('switches off within five seconds of the power button', { timeout: 90_000 }, async () => {
    await boot()
    const machine = qemu
    if (machine === null) throw new Error('not booted')
    const off = once(machine, 'exit', { signal: AbortSignal.timeout(5_000) })
    const monitor = connect(join(folder, 'qmp'))
    monitor.write('{"execute":"qmp_capabilities"}\n{"execute":"system_powerdown"}\n')
    monitor.resume()
    expect((await off)[0]).toBe(0)
    monitor.destroy()
  })
})
