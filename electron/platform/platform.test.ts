import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readJson, writeJsonAtomic } from './atomic-file.ts'
import { Disposer } from './dispose.ts'
import { acquireHostLock } from './host-lock.ts'
import { createLog } from './log.ts'
import { choosePaths, resolvePaths } from './paths.ts'
import {
  endProcess,
  isAlive,
  processIdentity,
  runTool,
  spawnDetached,
  startOfLiving,
  ToolEnded,
} from './processes.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wdp-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true, force: true })
})

describe('paths', () => {
  it('follow XDG, and ignore relative values as the specification says', () => {
    const env = {
      HOME: '/home/a',
      XDG_DATA_HOME: 'relative',
      XDG_CONFIG_HOME: '/c',
      XDG_RUNTIME_DIR: '/run/user/1',
    }
    expect(choosePaths(env)).toEqual({
      data: '/home/a/.local/share/wireless-dock',
      config: '/c/wireless-dock',
      cache: '/home/a/.cache/wireless-dock',
      runtime: '/run/user/1/wireless-dock',
    })
  })

  it('are all under WDOCK_HOME, closed to others', () => {
    const paths = resolvePaths({ WDOCK_HOME: join(dir, 'w') })
    expect(Object.values(paths).every((path) => path.startsWith(join(dir, 'w')))).toBe(true)
    for (const path of Object.values(paths)) expect(lstatSync(path).mode & 0o777).toBe(0o700)
  })

  it('put sockets into a short folder, the same at every start, when WDOCK_HOME is long', () => {
    const env = { WDOCK_HOME: `/home/${'long/'.repeat(30)}` }
    const { runtime } = choosePaths(env)
    expect(Buffer.byteLength(runtime)).toBeLessThanOrEqual(40)
    expect(choosePaths(env).runtime).toBe(runtime)
    expect(choosePaths({ WDOCK_HOME: `${env.WDOCK_HOME}x` }).runtime).not.toBe(runtime)
  })

  it('refuse a runtime folder that is a link, and close one that is open to others', () => {
    mkdirSync(join(dir, 'elsewhere'))
    mkdirSync(join(dir, 'a'))
    symlinkSync(join(dir, 'elsewhere'), join(dir, 'a/run'))
    expect(() => resolvePaths({ WDOCK_HOME: join(dir, 'a') })).toThrow(
      expect.objectContaining({ code: 'host.unsafe_folder' }),
    )
    mkdirSync(join(dir, 'b/run'), { recursive: true })
    chmodSync(join(dir, 'b/run'), 0o777)
    expect(lstatSync(resolvePaths({ WDOCK_HOME: join(dir, 'b') }).runtime).mode & 0o777).toBe(0o700)
  })
})

describe('state files', () => {
  const schema = z.object({ version: z.literal(1), name: z.string() })

  it('come back as they were written, readable by their owner only', async () => {
    const path = join(dir, 'état.json')
    await writeJsonAtomic(path, { version: 1, name: 'ü' })
    expect(await readJson(path, schema)).toEqual({ version: 1, name: 'ü' })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(readdirSync(dir)).toEqual(['état.json'])
  })

  it('are null when missing and a named error when damaged or of another version', async () => {
    const path = join(dir, 'a.json')
    expect(await readJson(path, schema)).toBeNull()
    for (const text of ['', '{"version":1', '{"version":2,"name":"x"}', '[]']) {
      writeFileSync(path, text)
      await expect(readJson(path, schema)).rejects.toMatchObject({ code: 'host.state_unreadable' })
      expect(readFileSync(path, 'utf8')).toBe(text)
    }
  })

  it('keep the old content when the new one cannot be written', async () => {
    const path = join(dir, 'a.json')
    await writeJsonAtomic(path, { version: 1, name: 'old' })
    await expect(writeJsonAtomic(join(dir, 'none/a.json'), {})).rejects.toMatchObject({
      code: 'host.unexpected',
    })
    await expect(writeJsonAtomic('/proc/wdock.json', {})).rejects.toThrow()
    expect(await readJson(path, schema)).toEqual({ version: 1, name: 'old' })
  })
})

describe('the host lock', () => {
  it('is held by one, and free again after release', async () => {
    const path = join(dir, 'host.lock')
    const release = await acquireHostLock(path)
    await expect(acquireHostLock(path)).rejects.toMatchObject({ code: 'host.already_running' })
    await release()
    await (await acquireHostLock(path))()
    expect(readdirSync(dir)).toEqual([])
  })

  it('is taken over from the dead by exactly one of many', async () => {
    const path = join(dir, 'host.lock')
    for (const stale of [
      JSON.stringify({ pid: 1, startTicks: -5, bootId: 'x', token: 'y' }),
      '',
      'garbage',
    ]) {
      writeFileSync(path, stale)
      const tries = await Promise.allSettled(Array.from({ length: 12 }, () => acquireHostLock(path)))
      const winners = tries.filter((outcome) => outcome.status === 'fulfilled')
      expect(winners).toHaveLength(1)
      await winners[0]?.value()
      expect(readdirSync(dir)).toEqual([])
    }
  })

  it('leaves alone a lock that has become another’s', async () => {
    const path = join(dir, 'host.lock')
    const release = await acquireHostLock(path)
    writeFileSync(path, 'another')
    await release()
    expect(readFileSync(path, 'utf8')).toBe('another')
  })
})

describe('processes', () => {
  const started: ChildProcess[] = []
  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL')
  })

  it('have an identity that no later process shares', async () => {
    const child = spawn('sleep', ['60'])
    started.push(child)
    const identity = processIdentity(child.pid ?? 0)
    expect(identity).not.toBeNull()
    if (!identity) return
    expect(isAlive(identity)).toBe(true)
    expect(isAlive({ ...identity, startTicks: identity.startTicks - 1 })).toBe(false)
    await endProcess(identity, { graceMs: 1000 })
    expect(isAlive(identity)).toBe(false)
  })

  it('live until their last thread has ended', () => {
    const stat = (state: string, threads: number) =>
      `41 (qemu (x) y) ${state} 1 41 41 0 -1 0 0 0 0 0 0 0 0 0 20 0 ${threads} 0 7700 0 0`
    expect(startOfLiving(stat('S', 3))).toBe(7700)
    // Its first thread has ended, and the others hold its files.
    expect(startOfLiving(stat('Z', 3))).toBe(7700)
    expect(startOfLiving(stat('Z', 1))).toBeNull()
    expect(startOfLiving(stat('X', 1))).toBeNull()
    expect(startOfLiving('')).toBeNull()
  })

  it('are ended by force when they do not listen', async () => {
    const child = spawn('sh', ['-c', 'trap "" TERM; echo up; while :; do sleep 0.1; done'])
    started.push(child)
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const identity = processIdentity(child.pid ?? 0)
    if (!identity) throw new Error('the child is not there')
    await endProcess(identity, { graceMs: 100 })
    expect(isAlive(identity)).toBe(false)
  })

  it('run in a session of their own when detached, output in a file', async () => {
    const logPath = join(dir, 'log')
    const script = 'echo out; echo err >&2; cut -d" " -f6 /proc/self/stat'
    const { exited, identity } = await spawnDetached('sh', ['-c', script], { cwd: dir, logPath })
    expect(await exited).toEqual({ code: 0, signal: null })
    expect(readFileSync(logPath, 'utf8')).toBe(`out\nerr\n${identity.pid}\n`)
    await expect(spawnDetached('/no/such', [], { cwd: dir, logPath })).rejects.toMatchObject({
      code: 'ENOENT',
    })
  })
})

describe('a tool', () => {
  it('gives its output and exit code', async () => {
    const result = await runTool('sh', ['-c', 'echo a; echo b >&2; exit 3'], { timeoutMs: 5000 })
    expect(result).toEqual({ stdout: 'a\n', stderr: 'b\n', code: 3 })
  })

  it('is ended when it takes too long, says too much, or nobody wants it any more', async () => {
    await expect(runTool('sleep', ['60'], { timeoutMs: 50 })).rejects.toMatchObject({ reason: 'timeout' })
    const loud = runTool('yes', [], { timeoutMs: 5000, maxOutputBytes: 1000 })
    await expect(loud).rejects.toBeInstanceOf(ToolEnded)
    const cancelled = runTool('sleep', ['60'], { timeoutMs: 5000, signal: AbortSignal.timeout(30) })
    await expect(cancelled).rejects.toMatchObject({ code: 'host.cancelled' })
    await expect(runTool('/no/such', [], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('the undo stack', () => {
  it('runs newest first, tries every step, and tells what failed', async () => {
    const order: string[] = []
    const stack = new Disposer()
    stack.add('first', () => void order.push('first'))
    stack.add('second', () => {
      throw new Error('no')
    })
    const drop = stack.add('third', () => void order.push('third'))
    stack.add('fourth', async () => void order.push('fourth'))
    drop()
    const failures = await stack.run()
    expect(order).toEqual(['fourth', 'first'])
    expect(failures.map((failure) => failure.name)).toEqual(['second'])
    expect(await stack.run()).toEqual([])
  })

  it('does nothing after commit', async () => {
    const stack = new Disposer()
    stack.add('step', () => {
      throw new Error('must not run')
    })
    stack.commit()
    expect(await stack.run()).toEqual([])
  })
})

describe('the log', () => {
  it('writes JSON lines with the fields of its parents', async () => {
    const path = join(dir, 'log')
    const log = createLog({ path })
    log.child({ guestId: 'g' }).warn('something happened', { count: 2n, error: new Error('why') })
    log.debug('not shown')
    await log.flush()
    const lines = readFileSync(path, 'utf8').trim().split('\n')
    expect(lines).toHaveLength(1)
    const line = JSON.parse(lines[0] ?? '')
    expect(line).toMatchObject({ level: 'warn', message: 'something happened', guestId: 'g', count: '2' })
    expect(line.error.message).toBe('why')
  })

  it('keeps a bounded number of bounded files', async () => {
    const path = join(dir, 'log')
    const log = createLog({ path, maxBytes: 1000, keep: 2 })
    for (let n = 0; n < 100; n += 1) {
      log.info('line', { n, text: 'x'.repeat(100) })
      await log.flush()
    }
    expect(readdirSync(dir).sort()).toEqual(['log', 'log.1', 'log.2'])
    for (const name of readdirSync(dir)) expect(lstatSync(join(dir, name)).size).toBeLessThan(1400)
    expect(readFileSync(path, 'utf8')).toContain('"n":99')
  })

  it('does not disturb its caller when it cannot write', async () => {
    const log = createLog({ path: join(dir, 'none/log') })
    log.info('lost')
    await log.flush()
    expect(existsSync(join(dir, 'none'))).toBe(false)
  })
})
