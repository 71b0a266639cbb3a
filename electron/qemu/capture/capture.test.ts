import { setTimeout as wait } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { silentLog } from '../../platform/log.ts'
import type { TransactionAction } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'
import { captureMemory, type MemoryCaptureOptions, settleMemoryCapture } from './memory.ts'
import { leaveNote } from './note.ts'
import { easeOff, isCramped } from './pace.ts'
import { preferredRoute, snapshotSupport } from './routes.ts'
import { FakeMonitor } from './testing/fake-monitor.ts'

const usualParameters = { 'max-bandwidth': 1000, 'downtime-limit': 120 }
const actions: TransactionAction[] = [
  { type: 'blockdev-snapshot', data: { node: 'disk0', overlay: 'disk0-live' } },
]

/** As much of QEMU as a capture sees: a run state, one migration, settings and nodes. */
class FakeQemu {
  readonly monitor: FakeMonitor
  readonly qmp: QmpSession
  status = 'running'
  migration = 'none'
  passes = 0
  parameters: Record<string, unknown> = { ...usualParameters }
  readonly capabilities = new Map([
    ['auto-converge', true],
    ['background-snapshot', false],
    ['events', true],
  ])
  readonly nodes = new Set<string>()
  /** Of the virtual processors. */
  threads: number[] = []
  /** Downtime limits in the order in which they were set. */
  readonly limits: unknown[] = []
  /** Bandwidths likewise. */
  readonly paces: unknown[] = []

  private constructor(monitor: FakeMonitor, qmp: QmpSession) {
    this.monitor = monitor
    this.qmp = qmp
    const { answers } = monitor
    answers['query-status'] = () => ({ running: this.status === 'running', status: this.status })
    answers['query-migrate'] = () => ({ status: this.migration, ram: this.#ram() })
    answers['query-migrate-parameters'] = () => this.parameters
    answers['query-migrate-capabilities'] = () =>
      [...this.capabilities].map(([capability, state]) => ({ capability, state }))
    answers['query-cpus-fast'] = () => this.threads.map((thread) => ({ 'thread-id': thread }))
    answers['query-named-block-nodes'] = () =>
      [...this.nodes].map((name) => ({ 'node-name': name, file: '', ro: false }))
    answers['blockdev-add'] = (args) => this.nodes.add(String(args['node-name']))
    answers['blockdev-del'] = (args) => this.nodes.delete(String(args['node-name']))
    answers['migrate-set-parameters'] = (args) => {
      this.parameters = { ...this.parameters, ...args }
      if ('downtime-limit' in args) this.limits.push(args['downtime-limit'])
      if ('max-bandwidth' in args) this.paces.push(args['max-bandwidth'])
    }
    answers['migrate-set-capabilities'] = (args) => this.#setCapabilities(args.capabilities)
    answers.stop = () => this.#become('paused')
    answers.cont = () => this.#become('running')
    answers.migrate_cancel = () => this.end('cancelled')
  }

  static async start(version: readonly [number, number] = [7, 2]): Promise<FakeQemu> {
    const { monitor, qmp } = await FakeMonitor.open(version)
    return new FakeQemu(monitor, qmp)
  }

  #ram(): unknown {
    const nothing = { transferred: 0, remaining: 0, total: 0, duplicate: 0, mbps: 0, 'page-size': 4096 }
    return { ...nothing, 'dirty-pages-rate': 0, 'dirty-sync-count': this.passes }
  }

  #setCapabilities(value: unknown): void {
    if (!Array.isArray(value)) throw new Error('no list')
    for (const { capability, state } of value) this.capabilities.set(capability, state)
  }

  #become(status: string): void {
    const wasRunning = this.status === 'running'
    this.status = status
    if (wasRunning !== (status === 'running')) this.monitor.event(wasRunning ? 'STOP' : 'RESUME')
  }

  end(migration: string): void {
    this.migration = migration
    if (migration === 'completed') this.#become('postmigrate')
    this.monitor.event('MIGRATION', { status: migration })
  }

  /** Commands of interest, in order. */
  get done(): string[] {
    const watched = ['stop', 'cont', 'transaction', 'migrate', 'migrate_cancel']
    return this.monitor.asked.filter((command) => watched.includes(command))
  }

  expectAsFound(): void {
    expect(this.parameters).toEqual(usualParameters)
    expect([...this.capabilities].filter(([, state]) => state).map(([name]) => name)).toEqual([
      'auto-converge',
      'events',
    ])
    expect([...this.nodes]).toEqual([])
  }
}

let qemu: FakeQemu
beforeEach(async () => {
  qemu = await FakeQemu.start()
})

const usual: Omit<MemoryCaptureOptions, 'route'> = {
  socketPath: '/nowhere/out.sock',
  firstPart: new Promise(() => {}),
  atInstant: actions,
  log: silentLog,
}

function capture(options: Partial<MemoryCaptureOptions> = {}) {
  return captureMemory(qemu.qmp, { ...usual, route: 'pre-copy', ...options })
}

/** QEMU sends everything at once. */
function migratesAtOnce(): void {
  qemu.monitor.answers.migrate = () => {
    qemu.migration = 'active'
    setImmediate(() => qemu.end('completed'))
  }
}

describe('a pre-copy', () => {
  it('lets the guest go on without waiting for the answer of what is done at the instant', async () => {
    migratesAtOnce()
    const frozen = Promise.withResolvers<void>()
    qemu.monitor.answers.transaction = () => frozen.promise
    qemu.monitor.answers.cont = () => {
      frozen.resolve()
      qemu.status = 'running'
      qemu.monitor.passTime(25)
      qemu.monitor.event('RESUME')
    }
    expect(await capture()).toMatchObject({ atMs: 1_000_000, freezeMs: 25, wasRunning: true })
    expect(qemu.done).toEqual(['migrate', 'transaction', 'cont'])
    qemu.expectAsFound()
  })

  it('tries again when QEMU is not yet ready to let the guest go on', async () => {
    migratesAtOnce()
    let refusals = 2
    qemu.monitor.answers.cont = () => {
      refusals -= 1
      if (refusals >= 0) throw new Error('Migration is not finalized yet')
      qemu.status = 'running'
    }
    await capture()
    expect(qemu.done).toEqual(['migrate', 'transaction', 'cont', 'cont', 'cont'])
  })

  it('lets a paused guest stand again in the very next command', async () => {
    migratesAtOnce()
    qemu.status = 'paused'
    expect(await capture({ route: 'background-snapshot' })).toMatchObject({
      route: 'pre-copy',
      freezeMs: null,
      wasRunning: false,
    })
    expect(qemu.done).toEqual(['migrate', 'transaction', 'cont', 'stop'])
    expect(qemu.status).toBe('paused')
    qemu.expectAsFound()
  })

  it('fails, and the guest goes on, when what is done at the instant is refused', async () => {
    migratesAtOnce()
    qemu.monitor.answers.transaction = () => {
      throw new Error('no such node')
    }
    await expect(capture()).rejects.toMatchObject({ code: 'qemu.command_failed' })
    expect(qemu.status).toBe('running')
    qemu.expectAsFound()
  })

  it('lets the guest stand still longer and longer, then gives up on one that is too busy', async () => {
    qemu.monitor.answers.migrate = () => {
      qemu.migration = 'active'
    }
    qemu.monitor.answers['query-migrate'] = () => {
      qemu.passes += 3
      return { status: qemu.migration, ram: { ...ramOf(qemu.passes) } }
    }
    await expect(capture({ patience: { stepMs: 1, lastMs: 40 } })).rejects.toMatchObject({
      code: 'qemu.memory_too_busy',
    })
    expect(qemu.limits).toEqual([10, 30, 60, 100, 200, 300, 120])
    expect(qemu.done).toEqual(['migrate', 'migrate_cancel'])
    expect(qemu.status).toBe('running')
    qemu.expectAsFound()
  })

  it('is cancelled before the guest was touched', async () => {
    qemu.monitor.answers.migrate = () => {
      qemu.migration = 'active'
    }
    const abort = new AbortController()
    const running = capture({ signal: abort.signal })
    setTimeout(() => abort.abort(), 20)
    await expect(running).rejects.toMatchObject({ code: 'host.cancelled' })
    await expect(capture({ signal: abort.signal })).rejects.toMatchObject({ code: 'host.cancelled' })
    expect(qemu.done).toEqual(['migrate', 'migrate_cancel'])
    qemu.expectAsFound()
  })

  it('goes at full speed from the beginning when something waits for it', async () => {
    migratesAtOnce()
    await capture({ hurry: true })
    expect(qemu.paces).toEqual([0, usualParameters['max-bandwidth']])
    await capture()
    expect(qemu.paces.slice(2)).toEqual([0, 48_000_000, usualParameters['max-bandwidth']])
    qemu.expectAsFound()
  })

  it('is refused for a guest that QEMU has stopped for its own reasons', async () => {
    qemu.status = 'io-error'
    await expect(capture()).rejects.toMatchObject({ code: 'qemu.cannot_capture' })
    expect(qemu.done).toEqual([])
  })
})

function ramOf(passes: number): Record<string, number> {
  const nothing = { transferred: 0, remaining: 0, total: 0, duplicate: 0, mbps: 0, 'page-size': 4096 }
  return { ...nothing, 'dirty-pages-rate': 0, 'dirty-sync-count': passes }
}

describe('the pace of a pre-copy', () => {
  /** On a PC with two processors. @param busy of them @returns what ends at full speed */
  async function eased(busy: number, over = new AbortController().signal): Promise<{ ended: Promise<void> }> {
    const startMs = performance.now()
    const runNs = async (): Promise<number> => busy * (performance.now() - startMs) * 1e6
    qemu.passes = 1
    const speedUp = await easeOff(qemu.qmp, over, { count: 2, runNs })
    return { ended: speedUp() }
  }

  it('is gentle the first time round for a guest that works', async () => {
    const { ended } = await eased(0.9)
    await wait(400)
    expect(qemu.paces).toEqual([48_000_000])
    qemu.passes = 2
    await ended
    expect(qemu.paces).toEqual([48_000_000, 0])
  })

  it('is full as soon as it shows that the guest has little to do', async () => {
    const { ended } = await eased(0.1)
    await ended
    expect(qemu.paces).toEqual([48_000_000, 0])
  })

  it('is left to who gives the settings back when the copy is over', async () => {
    const over = new AbortController()
    const { ended } = await eased(0.9, over.signal)
    over.abort()
    await ended
    expect(qemu.paces).toEqual([48_000_000])
  })

  it.each([
    [0.3, 2, false],
    [0.4, 2, true],
    [1, 3, true],
    [1, 4, false],
    [4, 8, false],
    [6, 8, true],
  ])('spares a guest of whose processors %d work, on a PC of %i: %s', (busy, processors, spared) => {
    expect(isCramped(busy, processors)).toBe(spared)
  })
})

describe('a background snapshot', () => {
  beforeEach(async () => {
    qemu = await FakeQemu.start([8, 1])
    qemu.monitor.answers.migrate = () => {
      qemu.migration = 'active'
    }
  })

  it('freezes the disks first and lets the guest go on at the first page, not before', async () => {
    const first = Promise.withResolvers<void>()
    const running = capture({ route: 'background-snapshot', firstPart: first.promise })
    await expect.poll(() => qemu.done).toEqual(['stop', 'transaction', 'migrate'])
    await wait(30)
    expect(qemu.status).toBe('paused')
    expect(qemu.capabilities.get('background-snapshot')).toBe(true)
    first.resolve()
    await expect.poll(() => qemu.status).toBe('running')
    qemu.migration = 'completed'
    qemu.monitor.event('MIGRATION', { status: 'completed' })
    expect(await running).toMatchObject({ route: 'background-snapshot', wasRunning: true })
    qemu.expectAsFound()
  })

  it('never starts when the disks cannot be frozen', async () => {
    qemu.monitor.answers.transaction = () => {
      throw new Error('no such node')
    }
    await expect(capture({ route: 'background-snapshot' })).rejects.toMatchObject({
      code: 'qemu.command_failed',
    })
    expect(qemu.done).toEqual(['stop', 'transaction', 'cont'])
    qemu.expectAsFound()
  })

  it.each([
    [
      [8, 1],
      ['stop', 'transaction', 'migrate', 'migrate_cancel', 'cont'],
    ],
    [
      [7, 2],
      ['stop', 'transaction', 'migrate', 'cont'],
    ],
  ] as const)(
    'that is cancelled under QEMU %j is ended in the way that the guest survives',
    async (version, done) => {
      qemu = await FakeQemu.start(version)
      qemu.monitor.answers.migrate = () => {
        qemu.migration = 'active'
      }
      const abort = new AbortController()
      const running = capture({ route: 'background-snapshot', signal: abort.signal })
      await expect.poll(() => qemu.migration).toBe('active')
      abort.abort()
      if (version[0] === 7) {
        await wait(30)
        qemu.migration = 'completed'
        qemu.monitor.event('MIGRATION', { status: 'completed' })
      }
      await expect(running).rejects.toMatchObject({ code: 'host.cancelled' })
      expect(qemu.done).toEqual(done)
      expect(qemu.status).toBe('running')
      qemu.expectAsFound()
    },
  )
})

describe('settings', () => {
  it('are given back once QEMU has tidied up after the migration', async () => {
    migratesAtOnce()
    let refusals = 2
    const { answers } = qemu.monitor
    const set = answers['migrate-set-capabilities']
    answers['migrate-set-capabilities'] = (args) => {
      if (qemu.migration === 'completed' && refusals-- > 0)
        throw new Error("There's a migration process in progress")
      return set?.(args)
    }
    await capture()
    qemu.expectAsFound()
  })

  it('that QEMU refuses for good are not asked for again', async () => {
    qemu.monitor.answers['migrate-set-capabilities'] = () => {
      throw new Error('Background-snapshot is not supported by host kernel')
    }
    await expect(capture({ route: 'background-snapshot' })).rejects.toMatchObject({
      code: 'qemu.command_failed',
    })
    expect(qemu.monitor.asked.filter((command) => command === 'migrate-set-capabilities')).toHaveLength(1)
    expect([...qemu.nodes]).toEqual([])
  })
})

describe('what an earlier host left', () => {
  it.each([
    ['running', 'active', 'running', ['migrate_cancel']],
    ['running', 'completed', 'postmigrate', ['cont']],
    ['running', 'active', 'paused', ['migrate_cancel', 'cont']],
    ['paused', 'completed', 'postmigrate', ['cont', 'stop']],
    ['paused', 'completed', 'running', ['stop']],
    ['running', 'completed', 'io-error', []],
  ] as const)('of a %s guest, its migration %s and QEMU %s', async (before, migration, status, done) => {
    await leaveNote(qemu.qmp, before)
    qemu.migration = migration
    qemu.status = status
    expect(await settleMemoryCapture(qemu.qmp)).toBe(true)
    expect(qemu.done).toEqual(done)
    expect(qemu.parameters).toEqual({ 'max-bandwidth': 128 * 1024 * 1024, 'downtime-limit': 300 })
    expect([...qemu.capabilities].filter(([, state]) => state)).toEqual([['events', true]])
    expect(await settleMemoryCapture(qemu.qmp)).toBe(false)
  })
})

describe('the way that is taken', () => {
  it('is a background snapshot only where QEMU would survive its failure and agrees to it', async () => {
    const setting = (text: string | null) => () =>
      text === null ? Promise.reject(new Error('ENOENT')) : Promise.resolve(text)
    expect(await snapshotSupport(qemu.qmp, setting('1'))).toMatchObject({ kind: 'unusable' })
    expect(qemu.monitor.asked).toEqual([])
    qemu = await FakeQemu.start([10, 0])
    expect(await snapshotSupport(qemu.qmp, setting('0\n'))).toEqual({ kind: 'usable' })
    expect(qemu.capabilities.get('background-snapshot')).toBe(false)
    qemu.monitor.answers['migrate-set-capabilities'] = () => {
      throw new Error('Background-snapshot is not supported by host kernel')
    }
    const sentences = [null, '0\n', '1\n'].map(async (text) => await snapshotSupport(qemu.qmp, setting(text)))
    expect((await Promise.all(sentences)).map((each) => each.kind)).toEqual(Array(3).fill('unusable'))
    expect(await sentences[1]).toMatchObject({ sentence: expect.stringContaining('sysctl') })
  })

  it('is a pre-copy under KVM and wherever a snapshot cannot be used', () => {
    const unusable = { kind: 'unusable', sentence: '' } as const
    expect(preferredRoute('kvm', { kind: 'usable' })).toBe('pre-copy')
    expect(preferredRoute('tcg', unusable)).toBe('pre-copy')
    expect(preferredRoute('tcg', { kind: 'usable' })).toBe('background-snapshot')
  })
})
