import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { mebibyteBytes } from '../../shared/models/guest-definition.ts'
import { silentLog } from '../platform/log.ts'
import { isAlive, runTool } from '../platform/processes.ts'
import { runProbeImage } from './accelerator.ts'
import { hasAgent } from './agent/agent.ts'
import { probeQemu } from './capabilities.ts'
import { probeKvmCpu, tcgCpuModel } from './cpu-features.ts'
import { lacksOf, wholeModels } from './cpu-offer.ts'
import { adoptQemu, definitionHash, launchQemu } from './process.ts'
import { QmpSession } from './qmp/session.ts'
import { pause, queryStatus, readSerialLog, resume, takePicture } from './screen.ts'
import {
  demoGuestDir,
  demoManifest,
  demoSpec,
  hasDemoGuest,
  QemuBench,
  testDefinition,
  testSpec,
} from './test-guests.ts'

let bench: QemuBench
beforeEach(async () => {
  bench = await QemuBench.make()
})
afterEach(async () => {
  await bench.end()
})

describe('asking QEMU what it is', () => {
  it('finds versioned machine types, named CPU models and migration capabilities', async () => {
    const cachePath = join(bench.dir, 'qemu.json')
    const info = await probeQemu({ cachePath })
    expect(info.version.major).toBeGreaterThanOrEqual(7)
    expect(info.latestMachine).toMatch(/^pc-q35-\d+\.\d+$/)
    expect(info.machineTypes).toContain('pc-q35-7.2')
    expect(info.migrationCapabilities).toContain('pause-before-switchover')
    expect(wholeModels(info.emulatedCpu)).toContain(tcgCpuModel)
    expect(info.hasNetdevStream).toBe(true)
    const remembered = (await readFile(cachePath, 'utf8')).replaceAll(info.latestMachine, 'pc-q35-99.0')
    await writeFile(cachePath, remembered)
    expect((await probeQemu({ cachePath })).latestMachine).toBe('pc-q35-99.0')
    await writeFile(cachePath, '{')
    expect((await probeQemu({ cachePath })).latestMachine, 'a damaged cache is not believed').toBe(
      info.latestMachine,
    )
  })

  it('names a missing program and a program that is no QEMU', async () => {
    await expect(probeQemu({ binary: '/nowhere/qemu' })).rejects.toMatchObject({ code: 'qemu.missing' })
    await expect(probeQemu({ binary: '/bin/false' })).rejects.toMatchObject({ code: 'qemu.start_failed' })
  })
})

describe('what an accelerator lacks of a CPU model', () => {
  it('is what QEMU warns of when a guest of that model starts', async () => {
    const { emulatedCpu } = await probeQemu()
    const cpuModel = 'Haswell,-pcid,+avx512f'
    const qemu = await bench.start(
      testSpec(await bench.folder('vm'), { definition: testDefinition({ cpuModel }) }),
    )
    const warned = /TCG doesn't support requested feature: CPUID\S+?\.([a-z]\S*) \[bit/g
    const names = [...readFileSync(qemu.sockets.log, 'utf8').matchAll(warned)].map((match) => match[1])
    const lacks = lacksOf(emulatedCpu, cpuModel).map(({ name }) => name)
    expect(lacks).toContain('avx512f')
    expect(lacks).not.toContain('pcid')
    expect(lacks.toSorted()).toEqual([...new Set(names)].toSorted())
  })

  it('is asked of KVM once after each boot of the PC', async () => {
    const calls = join(bench.dir, 'calls')
    const binary = join(bench.dir, 'qemu')
    // Stands in for a PC with KVM: the same questions, answered by emulation.
    const script = `#!/bin/sh\necho "$@" >> ${calls}\nexec qemu-system-x86_64 $(echo "$@" | sed s/kvm/tcg/)\n`
    await writeFile(binary, script, { mode: 0o755 })
    const info = await probeQemu()
    const question = { cachePath: join(bench.dir, 'kvm-cpu.json') }
    expect(await probeKvmCpu({ ...info, binary }, question)).toEqual(info.emulatedCpu)
    expect(await probeKvmCpu({ ...info, binary }, question)).toEqual(info.emulatedCpu)
    expect((await readFile(calls, 'utf8')).trim().split('\n')).toHaveLength(1)
    expect(await readFile(calls, 'utf8')).toContain('-accel kvm')
  })
})

describe('the probe image', () => {
  it('shows life under emulation within the time the probe allows', async () => {
    expect(await runProbeImage('qemu-system-x86_64', 'tcg', 3000)).toEqual({ alive: true })
  })

  it('does not take an early exit of QEMU for life', async () => {
    const result = await runProbeImage('/bin/true', 'tcg', 3000)
    expect(result.alive).toBe(false)
  })
})

describe('a QEMU process', () => {
  it('starts sandboxed without a warning, answers, and is gone with its files after quit', async () => {
    const dir = await bench.folder('vm')
    const qemu = await bench.start(testSpec(dir))
    expect(await queryStatus(qemu.qmp)).toEqual({ running: true, status: 'running' })
    expect(readFileSync(qemu.sockets.log, 'utf8')).toBe('')
    expect(readFileSync(`/proc/${qemu.identity.pid}/status`, 'utf8')).toMatch(/Seccomp:\s+2/)
    const exit = await qemu.quit({ graceMs: 5000 })
    expect(exit).toMatchObject({ code: 0, shutdownReason: 'host-qmp-quit' })
    expect(isAlive(qemu.identity)).toBe(false)
    expect(existsSync(qemu.sockets.runFile)).toBe(false)
    expect(existsSync(qemu.sockets.qmp)).toBe(false)
  })

  it('has a port for an agent, which nobody in a guest without one has open', async () => {
    const definition = testDefinition({ agent: true })
    const qemu = await bench.start(testSpec(await bench.folder('vm'), { definition }))
    expect(existsSync(qemu.sockets.agent)).toBe(true)
    expect(await hasAgent(qemu.qmp)).toBe(false)
    await qemu.quit({ graceMs: 5000 })
    expect(existsSync(qemu.sockets.agent)).toBe(false)
  })

  it('that does not answer is not asked for longer than it has to end', async () => {
    const qemu = await bench.start(testSpec(await bench.folder('vm')))
    process.kill(qemu.identity.pid, 'SIGSTOP')
    const exit = qemu.quit({ graceMs: 100 })
    expect(await Promise.race([exit, wait(6000, 'late')])).toMatchObject({ signal: 'SIGKILL' })
  })

  it('pauses, resumes, and draws its screen as a PNG', async () => {
    const qemu = await bench.start(testSpec(await bench.folder('vm')))
    await pause(qemu.qmp)
    expect((await queryStatus(qemu.qmp)).status).toBe('paused')
    await resume(qemu.qmp)
    expect((await queryStatus(qemu.qmp)).running).toBe(true)
    const picture = join(bench.dir, 'screen.png')
    await takePicture(qemu.qmp, picture)
    expect((await readFile(picture)).subarray(1, 4).toString()).toBe('PNG')
  })

  it('keeps the guest’s hardware clock going while the guest stands still', async () => {
    const qemu = await bench.start(testSpec(await bench.folder('vm')))
    await pause(qemu.qmp)
    await wait(3000)
    await resume(qemu.qmp)
    const told = await qemu.qmp.execute('qom-get', { path: '/machine', property: 'rtc-time' })
    const rtcTime = z.record(z.string(), z.number()).parse(told)
    const [year = 0, ...rest] = ['year', 'mon', 'mday', 'hour', 'min', 'sec'].map(
      (part) => rtcTime[`tm_${part}`] ?? Number.NaN,
    )
    const [month = 0, day, hours, minutes, seconds] = rest
    const rtcMs = Date.UTC(1900 + year, month, day, hours, minutes, seconds)
    // It counts whole seconds; a clock that stood still would be three of them late.
    expect(Math.abs(Date.now() - rtcMs)).toBeLessThan(2500)
  })

  it('serves the screen on its socket', async () => {
    const qemu = await bench.start(testSpec(await bench.folder('vm')))
    const hello = await new Promise<string>((resolve, reject) => {
      const socket = connect(qemu.sockets.vnc)
      socket.once('data', (data) => {
        resolve(data.toString())
        socket.destroy()
      })
      socket.once('error', reject)
    })
    expect(hello).toMatch(/^RFB 003\.008/)
  })

  it('tells in QEMU’s own words why it died at the start, and leaves nothing', async () => {
    const dir = await bench.folder('vm')
    const spec = testSpec(dir, { definition: testDefinition({ machine: 'pc-q35-99.9' }) })
    const error = await launchQemu(spec, { log: silentLog }).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'qemu.start_failed' })
    expect(error.detail).toContain('unsupported machine type')
    expect(existsSync(join(dir, 'run.json'))).toBe(false)
  })

  it('tells its listeners and fails its waiters when it is killed', async () => {
    const qemu = await bench.start(testSpec(await bench.folder('vm')))
    const waiting = qemu.qmp.waitForEvent(() => false, { timeoutMs: 20_000 })
    waiting.catch(() => {})
    const told = new Promise((resolve) => qemu.onExit(resolve))
    process.kill(qemu.identity.pid, 'SIGKILL')
    await expect(waiting).rejects.toMatchObject({ code: 'qemu.gone' })
    expect(await told).toMatchObject({ signal: 'SIGKILL', shutdownReason: null })
  })

  it('accepts names and folders with commas, quotes, spaces and letters of any script', async () => {
    const dir = await bench.folder('o,dd "dir=é')
    const name = 'a,debug-threads=off,x="1" 你好 \\ {}'
    const qemu = await bench.start(testSpec(dir, { definition: testDefinition({ name, witness: true }) }))
    const answer = await qemu.qmp.execute('query-name')
    expect(answer).toEqual({ name })
    expect(existsSync(qemu.sockets.witness)).toBe(true)
  })
})

describe('a program whose last act is to end QEMU', () => {
  const library = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href)

  it.each([
    ['kill()', 'started', 'ends at once'],
    ['kill()', 'adopted', 'ends at once'],
    ['quit({ graceMs: 5000 })', 'started', 'lives on when its monitor has closed'],
    ['quit({ graceMs: 5000 })', 'adopted', 'lives on when its monitor has closed'],
  ])('waits for %s of one that it %s, which %s', async (ending, origin, end) => {
    const dir = await bench.folder('vm')
    const script = join(bench.dir, 'ends.ts')
    const slow = join(bench.dir, 'slow-qemu')
    await writeFile(slow, '#!/bin/sh\nqemu-system-x86_64 "$@"\nsleep 0.4\n', { mode: 0o755 })
    const spec = testSpec(dir, end === 'ends at once' ? {} : { binary: slow })
    await writeFile(
      script,
      `import { adoptQemu, launchQemu } from ${library('process.ts')}
      import { silentLog } from ${library('../platform/log.ts')}
      let qemu = await launchQemu(${JSON.stringify(spec)}, { log: silentLog })
      if (${origin === 'adopted'}) {
        qemu.release()
        qemu = await adoptQemu(${JSON.stringify(join(dir, 'run.json'))})
      }
      await qemu.${ending}
      process.stdout.write('gone')`,
    )
    const { stdout, code } = await runTool(process.execPath, [script], { timeoutMs: 20_000 })
    expect({ stdout, code }).toEqual({ stdout: 'gone', code: 0 })
  })
})

describe('losing the host', () => {
  it('lives on when the process that started it is killed, and is adopted by the next', async () => {
    const dir = await bench.folder('vm')
    const spec = testSpec(dir)
    const script = join(bench.dir, 'host.ts')
    const modules = {
      process: import.meta.resolve('./process.ts'),
      log: import.meta.resolve('../platform/log.ts'),
    }
    await writeFile(
      script,
      `import { launchQemu } from '${modules.process}'
       import { silentLog } from '${modules.log}'
       const qemu = await launchQemu(${JSON.stringify(spec)}, { log: silentLog })
       console.log('started', qemu.identity.pid)
       setInterval(() => {}, 1000)`,
    )
    const host = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => host.stdout.once('data', resolve))
    const ended = new Promise((resolve) => host.once('exit', resolve))
    host.kill('SIGKILL')
    await ended

    const adopted = await adoptQemu(join(dir, 'run.json'))
    expect(adopted).not.toBeNull()
    if (!adopted) return
    bench.track(adopted)
    expect(adopted.record.definitionHash).toBe(definitionHash(spec.definition))
    expect((await queryStatus(adopted.qmp)).running).toBe(true)
    const exit = await adopted.quit({ graceMs: 5000 })
    expect(exit.shutdownReason).toBe('host-qmp-quit')
    expect(await adoptQemu(join(dir, 'run.json'))).toBeNull()
  })

  it('finds a process whose host died before it could write down the pid', async () => {
    const dir = await bench.folder('vm')
    const qemu = await bench.start(testSpec(dir))
    qemu.release()
    const record = JSON.parse(await readFile(qemu.sockets.runFile, 'utf8'))
    await writeFile(qemu.sockets.runFile, JSON.stringify({ ...record, identity: null }))
    const adopted = await adoptQemu(qemu.sockets.runFile)
    expect(adopted?.identity).toEqual(qemu.identity)
    adopted?.release()
  })

  it('does not adopt a stranger that has the recorded pid', async () => {
    const dir = await bench.folder('vm')
    const qemu = await bench.start(testSpec(dir))
    const record = JSON.parse(await readFile(qemu.sockets.runFile, 'utf8'))
    const stranger = { pid: process.pid, startTicks: 1 }
    await writeFile(qemu.sockets.runFile, JSON.stringify({ ...record, identity: stranger }))
    expect(await adoptQemu(qemu.sockets.runFile)).toBeNull()
  })

  it('serves one monitor client at a time: a second one is told that QEMU is silent', async () => {
    const qemu = await bench.start(testSpec(await bench.folder('vm')))
    await expect(QmpSession.connect(qemu.sockets.qmp, { timeoutMs: 300 })).rejects.toMatchObject({
      code: 'qemu.silent',
    })
  })
})

describe.skipIf(!hasDemoGuest)('a Linux guest', () => {
  it('boots under emulation with the default CPU model', async () => {
    const dir = await bench.folder('vm')
    const base = join(demoGuestDir, demoManifest().disk)
    const disk = join(bench.dir, 'disk.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base, disk])
    const memory = { memoryBytes: 512 * mebibyteBytes, maxMemoryBytes: 1024 * mebibyteBytes }
    const qemu = await bench.start(
      demoSpec(dir, { definition: memory, disk: { topPath: disk, layerPaths: [base] } }),
    )
    const witness = connect(qemu.sockets.witness)
    let heard = ''
    witness.on('data', (data) => {
      heard += data.toString()
    })
    await expect.poll(() => heard.length, { timeout: 40_000, interval: 100 }).toBeGreaterThan(20)
    witness.destroy()
    expect(typeof (await readSerialLog(qemu.qmp))).toBe('string')
  })
})
