/**
 * A host for tests of the faces: two docks and two guests in memory, every call remembered, any call made to
 * fail or answer on demand. Promises nothing about real guests.
 */
import { PassThrough } from 'node:stream'
import type { CallContext } from '../../../shared/contract-handlers.ts'
import { fail } from '../../../shared/errors/index.ts'
import type { Checkpoint } from '../../../shared/models/checkpoint.ts'
import type { Dock, Pairing } from '../../../shared/models/dock.ts'
import type { Guest } from '../../../shared/models/guest.ts'
import {
  applyHostEvent,
  defaultSettings,
  emptyHostState,
  type HostEvent,
  type HostState,
} from '../../../shared/models/host-state.ts'
import type { MigrationCheck } from '../../../shared/models/migration.ts'
import type { HostService } from '../service.ts'

export const hereId = 'a'.repeat(52)
export const laptopId = `b${'c'.repeat(51)}`
export const guestHereId = '11111111-1111-4111-8111-111111111111'
export const guestThereId = '22222222-2222-4222-8222-222222222222'
export const goodTicket = 'ticket-0123456789abcdef'

const accelerator = { kind: 'tcg', sentence: 'Emulated: this PC has no virtualisation.' } as const

export function fakeDock(id: string, name: string, presence: Dock['presence'], paired = true): Dock {
  return {
    id,
    name,
    presence,
    paired,
    address: '192.0.2.7:7331',
    linkRttMs: 0.4,
    keepsReady: false,
    capabilities: null,
  }
}

export function fakeGuest(id: string, name: string, dockId: string, state: Guest['state']): Guest {
  return {
    ...{ id, name, dockId, homeDockId: dockId, state, operationId: null, accelerator },
    ...{ cores: 2, maxCores: 4, memoryBytes: 512 * 1024 ** 2, maxMemoryBytes: 4 * 1024 ** 3 },
    ...{ diskBytes: 2 * 1024 ** 3, diskUsedBytes: 40_000_000, machine: 'pc-q35-7.2', cpuModel: 'qemu64' },
    ...{ network: 'user', bootKind: 'disk', createdAtMs: 0, bootedAtMs: null, pictureRevision: null },
  }
}

export function fakeState(): HostState {
  const info = {
    ...{ dockId: hereId, appVersion: '0.1.0', dataDir: '/data', port: 7331, addresses: ['192.0.2.1:7331'] },
    ...{ secretsSentence: 'In a file.', demoGuestAvailable: true, isDemo: false },
  }
  const settings = defaultSettings('This PC')
  return {
    ...emptyHostState(info, settings),
    docks: [
      fakeDock(hereId, 'This PC', { kind: 'here' }),
      fakeDock(laptopId, 'Laptop', { kind: 'online' }),
      fakeDock(`d${'2'.repeat(51)}`, 'Attic', { kind: 'nearby' }, false),
    ],
    guests: [
      fakeGuest(guestHereId, 'Debian', hereId, { kind: 'stopped' }),
      fakeGuest(guestThereId, 'Travel machine', laptopId, { kind: 'running' }),
    ],
  }
}

export const fakePairing: Pairing = {
  ...{ id: 'pairing-1', dockId: `d${'2'.repeat(51)}`, dockName: 'Attic', role: 'initiator' },
  ...{ state: { kind: 'comparing', code: '123456' }, startedAtMs: 0, expiresAtMs: 120_000 },
}

const fakePhrase = Array.from({ length: 24 }, (_, index) => `word${index + 1}`).join(' ')
const fakeStats = { checkpoints: 1, packs: 2, storedBytes: 3e6, unusedBytes: 1e6, logicalBytes: 5e9 }

export function fakeCheckpoint(change: Partial<Checkpoint> = {}): Checkpoint {
  return {
    ...{ id: 'c'.repeat(32), guestId: guestHereId, guestName: 'Debian', atMs: 0, reason: 'person' },
    ...{ label: { name: '', note: '', pinned: false }, byDockId: hereId, byDockName: 'This PC' },
    ...{ hasMemory: true, cores: 2, memoryBytes: 512 * 1024 ** 2, diskBytes: 2 * 1024 ** 3 },
    ...{ machine: 'pc-q35-7.2', qemuVersion: '7.2.22', wholeBytes: 42e6, addedBytes: 3e6, freezeMs: 40 },
    ...{ hasPicture: false, verifiedAtMs: null, place: { kind: 'vault' } },
    ...change,
  }
}

const readyCheck: MigrationCheck = {
  blockers: [],
  warnings: [],
  estimate: {
    time: { minMs: 2000, maxMs: 4000 },
    bytes: { min: 1e8, max: 2e8 },
    freeze: { minMs: 60, maxMs: 100 },
  },
}

type Reply = (input: never, context: CallContext) => unknown
type Answering = <Input, Output>(
  name: string,
  usual: (input: Input) => Output,
) => (input: Input, context: CallContext) => Promise<Output>

/** What a test sees and steers. */
export class FakeHost {
  state = fakeState()
  readonly calls: { name: string; input: unknown }[] = []
  readonly replies = new Map<string, Reply>()
  /** Watchers that are being served. */
  watchers = 0
  /** The far end of the last screen that was connected. */
  screen: PassThrough | null = null
  readonly #listeners = new Set<(event: HostEvent) => void>()

  /** Makes the call `guests.start` (for example) answer with what `reply` returns or throws. */
  on(name: string, reply: Reply): this {
    this.replies.set(name, reply)
    return this
  }

  /** Tells a fact to every watcher and applies it. */
  emit(event: HostEvent): void {
    this.state = applyHostEvent(this.state, event) ?? this.state
    for (const listener of this.#listeners) listener(event)
  }

  async *watch(signal: AbortSignal): AsyncGenerator<HostEvent, void, void> {
    const waiting: HostEvent[] = [{ type: 'snapshot', state: this.state }]
    let wake = (): void => {}
    const listener = (event: HostEvent): void => {
      waiting.push(event)
      wake()
    }
    const abort = (): void => wake()
    this.#listeners.add(listener)
    signal.addEventListener('abort', abort)
    this.watchers += 1
    try {
      while (!signal.aborted) {
        const event = waiting.shift()
        if (event) yield event
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      this.watchers -= 1
      this.#listeners.delete(listener)
    }
  }

  /** Remembers a call and answers it, as told by `on` or as usual. */
  readonly #call: Answering =
    (name, usual) =>
    async (input, context): Promise<ReturnType<typeof usual>> => {
      this.calls.push({ name, input })
      const reply = this.replies.get(name)
      return reply ? (reply(input as never, context) as ReturnType<typeof usual>) : usual(input)
    }

  /** The service that the faces are given. */
  service(): HostService {
    const guestOf = (input: { guestId: string }) => {
      const found = this.state.guests.find((guest) => guest.id === input.guestId)
      if (!found) throw fail('guest.not_found')
      return found
    }
    const call = this.#call
    const none = () => ({})
    return {
      state: {
        get: call('state.get', () => this.state),
        watch: (_input, { signal }) => this.watch(signal),
      },
      guests: {
        create: call('guests.create', () => ({ guestId: guestHereId, operationId: null })),
        start: call('guests.start', guestOf),
        pause: call('guests.pause', guestOf),
        resume: call('guests.resume', guestOf),
        shutDown: call('guests.shutDown', guestOf),
        forceOff: call('guests.forceOff', guestOf),
        rename: call('guests.rename', (input) => ({ ...guestOf(input), name: input.name })),
        remove: call('guests.remove', () => ({ trashedTo: '/trash/disk.qcow2' })),
        undoRemove: call('guests.undoRemove', guestOf),
        picture: call('guests.picture', () => null),
        openScreen: call('guests.openScreen', () => ({ url: `/screen/${goodTicket}` })),
        log: call('guests.log', () => ({ text: 'qemu: hello\n' })),
      },
      docks: {
        connect: call('docks.connect', () => fakeDock(laptopId, 'Laptop', { kind: 'nearby' }, false)),
        startPairing: call('docks.startPairing', () => fakePairing),
        confirmPairing: call('docks.confirmPairing', () => fakePairing),
        refusePairing: call('docks.refusePairing', () => fakePairing),
        dismissPairing: call('docks.dismissPairing', none),
        unpair: call('docks.unpair', none),
      },
      migrations: {
        check: call('migrations.check', () => readyCheck),
        start: call('migrations.start', () => ({ operationId: 'operation-1' })),
        settle: call('migrations.settle', none),
      },
      ...this.#checkpointService(call),
      warm: {
        allow: call('warm.allow', none),
        now: call('warm.now', none),
      },
      keptMemory: {
        forget: call('keptMemory.forget', none),
        forgetAll: call('keptMemory.forgetAll', none),
      },
      operations: {
        cancel: call('operations.cancel', none),
        dismiss: call('operations.dismiss', none),
      },
      settings: {
        change: call('settings.change', (input) => ({ ...this.state.settings, ...defined(input) })),
      },
      files: { list: call('files.list', () => ({ path: '/', parent: null, entries: [] })) },
      host: { quit: call('host.quit', none) },
      screens: {
        connect: async (ticket) => {
          if (ticket !== goodTicket) throw fail('host.bad_input', { why: 'this ticket is not good' })
          this.screen = new PassThrough()
          return this.screen
        },
      },
    }
  }

  #checkpointService(call: Answering): Pick<HostService, 'vault' | 'checkpoints' | 'lending'> {
    const none = () => ({})
    const begun = () => ({ operationId: 'operation-1', guestId: guestHereId })
    return {
      vault: {
        create: call('vault.create', () => ({ phrase: fakePhrase })),
        open: call('vault.open', none),
        look: call('vault.look', () => ({ kind: 'empty' })),
        phrase: call('vault.phrase', () => ({ phrase: fakePhrase })),
        phraseSeen: call('vault.phraseSeen', none),
        forget: call('vault.forget', none),
        stats: call('vault.stats', () => fakeStats),
        check: call('vault.check', () => ({ checkpoints: 1, readBytes: 0, damaged: [] })),
        sweep: call('vault.sweep', () => ({ freedBytes: 0 })),
      },
      checkpoints: {
        make: call('checkpoints.make', () => ({ operationId: 'operation-1' })),
        restore: call('checkpoints.restore', begun),
        relabel: call('checkpoints.relabel', none),
        remove: call('checkpoints.remove', none),
        picture: call('checkpoints.picture', () => null),
        changeRules: call('checkpoints.changeRules', ({ rules }) => rules),
      },
      lending: {
        lend: call('lending.lend', () => ({ shareId: 'e'.repeat(32), link: 'wdock:lend?u=x#y' })),
        revoke: call('lending.revoke', none),
        look: call('lending.look', () => {
          const { label: _label, place: _place, ...seen } = fakeCheckpoint()
          return { checkpoint: seen, pngBase64: null, endMs: null }
        }),
        receive: call('lending.receive', begun),
      },
    }
  }
}

function defined<Value extends object>(
  value: Value,
): { [Name in keyof Value]?: Exclude<Value[Name], undefined> } {
  const entries = Object.entries(value).filter(([, given]) => given !== undefined)
  return Object.fromEntries(entries) as { [Name in keyof Value]?: Exclude<Value[Name], undefined> }
}
