import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import type { Operation, OperationState } from '../../shared/models/operation.ts'
import {
  type FakeHost,
  fakePairing,
  guestHereId,
  guestThereId,
  hereId,
  laptopId,
} from '../ipc/testing/fake-service.ts'
import { CliBench, type Situation } from './testing/cli-bench.ts'

let bench: CliBench
let root: string
let host: FakeHost
const wdock = (words: string[], situation?: Situation) => bench.wdock(words, situation)

beforeEach(async () => {
  bench = await CliBench.start()
  root = bench.root
  host = bench.host
})

afterEach(async () => await bench.end())

function operationIn(state: OperationState, transfer: 'pages' | null = null): Operation {
  return {
    ...{ id: 'operation-1', guestId: guestThereId, guestName: 'Travel machine', startedAtMs: 0, state },
    progress: {
      ...{ doneBytes: 5e7, totalBytes: 1e8, rateBytesPerS: 1.1e7 },
      timeLeft: { minMs: 4000, maxMs: 5000 },
    },
    work: {
      ...{ kind: 'migration', fromDockId: laptopId, toDockId: hereId, phase: 'copying-memory' },
      ...{ dirtyRateBytesPerS: 0, rounds: 1, throttlePercent: 0, transfer, samples: [] },
      result: {
        ...{ totalMs: 3200, downtimeMs: 60, wireBytes: 1.05e8 },
        ...{ memoryBytes: 1e8, diskBytes: 5e6, rounds: 2 },
      },
    },
  }
}

const told = (state: OperationState) =>
  host.emit({ type: 'operation.changed', operation: operationIn(state) })

describe('guests and docks', () => {
  it('are listed as a table, with where each runs', async () => {
    const { code, out } = await wdock(['guests'])
    expect(code).toBe(0)
    expect(out).toBe(
      [
        'NAME            STATE    ON       CORES  MEMORY   DISK    UP  ID',
        'Debian          off      This PC  2      512 MiB  2.1 GB      11111111',
        'Travel machine  running  Laptop   2      512 MiB  2.1 GB      22222222',
        '',
      ].join('\n'),
    )
  })

  it('are one JSON object for scripts', async () => {
    const { out } = await wdock(['docks', '--json'])
    expect(JSON.parse(out)).toEqual({ docks: host.state.docks })
  })

  it.each(['Debian', 'debian', 'deb', guestHereId, '1111'])('are found by %s', async (word) => {
    const { code, out } = await wdock(['guest', 'start', word])
    expect(code).toBe(0)
    expect(out).toBe('Debian is off.\n')
    expect(host.calls.at(-2)).toEqual({ name: 'guests.start', input: { guestId: guestHereId } })
  })

  it('that a word could mean are named', async () => {
    host.state = {
      ...host.state,
      guests: host.state.guests.map((guest, n) => ({ ...guest, name: `Debian ${n}` })),
    }
    const { code, notes } = await wdock(['guest', 'start', 'deb'])
    expect(code).toBe(2)
    expect(notes).toContain('Debian 0 (11111111 on This PC), Debian 1 (22222222 on Laptop)')
  })

  it('say why one stands still that nobody paused', async () => {
    const reason = fail('guest.disk_full', { name: 'Debian' }).toJSON()
    host.state = {
      ...host.state,
      guests: host.state.guests.map((guest) => ({ ...guest, state: { kind: 'paused', reason } })),
    }
    const { out } = await wdock(['guest', 'list'])
    expect(out).toContain('paused: The disk of the PC that Debian runs on is full.')
  })

  it('that are given up are said to be in the trash, with the way back', async () => {
    const state = { kind: 'unsettled', migrationId: 'm', otherDockId: laptopId } as const
    host.state = { ...host.state, guests: host.state.guests.map((guest) => ({ ...guest, state })) }
    const { code, out } = await wdock(['settle', 'Debian', 'give-up-here', '--yes'])
    expect(code).toBe(0)
    expect(out).toBe(
      'Debian is settled.\nThe copy on this PC is in the trash. Bring it back with: ' +
        `wdock guest undo-delete ${guestHereId}\n`,
    )
    expect(host.calls.at(-1)).toEqual({
      name: 'migrations.settle',
      input: { migrationId: 'm', choice: 'give-up-here' },
    })
  })

  it('cannot write to the terminal by their names', async () => {
    host.state = {
      ...host.state,
      guests: host.state.guests.map((guest) => ({ ...guest, name: '\x1b[2Jevil\u202e' })),
    }
    const { out } = await wdock(['guests'])
    expect(out).toContain('[2Jevil ')
    expect(out).not.toContain('\x1b')
  })
})

describe('the exit code', () => {
  it('is 3 when no host runs, and JSON says which failure it is', async () => {
    await bench.endServer()
    const { code, out } = await wdock(['guests', '--json'])
    expect(code).toBe(3)
    expect(JSON.parse(out).error).toMatchObject({ code: 'host.not_running' })
  })

  it('is 1 when the host could not do it, with the sentence and the fix', async () => {
    host.on('guests.start', () => {
      throw fail('guest.too_big', { name: 'Debian', needed: '4 GiB', free: '1 GiB' }, { detail: 'x' })
    })
    const { code, notes } = await wdock(['guest', 'start', 'Debian'])
    expect(code).toBe(1)
    expect(notes).toBe(
      'Debian needs 4 GiB of memory; this PC has 1 GiB to give.\n' +
        'Give the guest less memory, or stop other guests.\n\nx\n',
    )
  })

  it.each([
    [['nonsense'], 'There is no command "nonsense".'],
    [['guest', 'start'], '<guest> is missing.'],
    [['guest', 'start', 'a', 'b'], '"b" is one word too many.'],
    [['guest', 'start', 'a', '--force'], "Unknown option '--force'."],
    [['guest', 'create', 'x'], 'one of --demo, --disk, --iso or --kernel is needed.'],
    [['guest', 'create', 'x', '--demo', '--disk', 'y'], '--disk does not go with --demo.'],
    [['guest', 'create', 'x', '--demo', '--memory', 'lots'], '--memory must be a size'],
    [['settings', 'colour=red'], '"colour=red" is not NAME=VALUE'],
    [['settle', 'Debian', 'maybe'], 'the choice must be run-here or give-up-here.'],
    [['guest', 'start', 'nobody'], 'There is no guest called nobody.'],
    [['guest', 'rename', 'Debian', ' '], 'name: a name is needed'],
  ])('is 2 for the wrong use %j', async (words, sentence) => {
    const { code, notes } = await wdock(words)
    expect(notes).toContain(sentence)
    expect(code).toBe(2)
  })
})

describe('creating', () => {
  it('reads sizes and makes paths whole', async () => {
    const { code } = await wdock([
      ...['guest', 'create', 'New one', '--iso', 'a b.iso', '--disk-size', '8G'],
      ...['--memory', '1.5G', '--cores', '2', '--network', 'none'],
    ])
    expect(code).toBe(0)
    expect(host.calls.at(-1)?.input).toEqual({
      name: 'New one',
      source: { kind: 'iso', path: join(process.cwd(), 'a b.iso'), diskBytes: 8 * 1024 ** 3 },
      cores: 2,
      memoryBytes: 1536 * 1024 ** 2,
      network: 'none',
    })
  })

  it('saves a picture where it was told to', async () => {
    host.on('guests.picture', () => ({ revision: 3, pngBase64: Buffer.from('png').toString('base64') }))
    const path = join(root, 'shot.png')
    expect((await wdock(['guest', 'picture', 'Debian', '--output', path])).code).toBe(0)
    expect(readFileSync(path, 'utf8')).toBe('png')
  })
})

describe('migrating', () => {
  it('goes to this PC unless told, shows progress and the result', async () => {
    host.on('migrations.start', () => {
      told({ kind: 'running', cancellable: true })
      setTimeout(() => told({ kind: 'done', endedAtMs: 1 }), 30)
      return { operationId: 'operation-1' }
    })
    const { code, out, notes } = await wdock(['migrate', 'travel'])
    expect(code).toBe(0)
    expect(host.calls.find((call) => call.name === 'migrations.start')?.input).toEqual({
      guestId: guestThereId,
      fromDockId: laptopId,
      toDockId: hereId,
    })
    expect(notes).toBe('copying memory · 50 MB of 100 MB · 11 MB/s · 4 to 5 s left\n')
    expect(out).toBe('Travel machine runs on This PC now: 3.2 s, freeze of 0.06 s, 105 MB over the link.\n')
  })

  it('says afterwards that only what was lacking has crossed, if it was so', async () => {
    host.on('migrations.start', () => {
      host.emit({
        type: 'operation.changed',
        operation: operationIn({ kind: 'done', endedAtMs: 1 }, 'pages'),
      })
      return { operationId: 'operation-1' }
    })
    const { out } = await wdock(['migrate', 'travel'])
    expect(out).toContain('over the link. Only what This PC lacked of its memory was sent.')
    expect(JSON.parse((await wdock(['migrate', 'travel', '--json'])).out).transfer).toBe('pages')
  })

  it('ends with 4 and every blocker when it is blocked, and starts nothing', async () => {
    const blocker = fail('migration.memory_short', { dock: 'Laptop', free: '1', needed: '2', name: 'Debian' })
    host.on('migrations.check', () => ({ blockers: [blocker.toJSON()], warnings: [], estimate: null }))
    const { code, out } = await wdock(['migrate', 'Debian', '--to', 'Laptop', '--json'])
    expect(code).toBe(4)
    expect(JSON.parse(out).error.code).toBe('migration.memory_short')
    expect(host.calls.map((call) => call.name)).not.toContain('migrations.start')
  })

  it('asks where to when the guest is here already', async () => {
    const { code, notes } = await wdock(['migrate', 'Debian'])
    expect(code).toBe(2)
    expect(notes).toContain('Debian is on this PC already; name another dock with --to.')
  })

  it('is cancelled by Ctrl-C and ends with 130', async () => {
    host.on('operations.cancel', () => {
      told({ kind: 'cancelled', endedAtMs: 1 })
      return {}
    })
    host.on('migrations.start', () => {
      told({ kind: 'running', cancellable: true })
      return { operationId: 'operation-1' }
    })
    const { code, notes } = await wdock(['migrate', 'travel'], {
      onReady: (interrupt) => setTimeout(interrupt, 30),
    })
    expect(code).toBe(130)
    expect(notes).toContain('cancelling')
  })

  it('fails with what made the operation fail', async () => {
    host.on('migrations.start', () => {
      const error = fail('migration.link_lost', { dock: 'Laptop', name: 'Travel machine' }).toJSON()
      told({ kind: 'failed', endedAtMs: 1, error })
      return { operationId: 'operation-1' }
    })
    const { code, out } = await wdock(['migrate', 'travel', '--json'])
    expect(code).toBe(1)
    expect(JSON.parse(out).error.code).toBe('migration.link_lost')
  })
})

describe('pairing', () => {
  const ended = { ...fakePairing, state: { kind: 'ended', outcome: 'paired' } } as const

  it('shows the code and pairs after a yes', async () => {
    host.on('docks.startPairing', () => {
      host.emit({ type: 'pairing.changed', pairing: fakePairing })
      return fakePairing
    })
    host.on('docks.confirmPairing', () => {
      host.emit({ type: 'pairing.changed', pairing: ended })
      return ended
    })
    const { code, out, notes } = await wdock(['pair', 'attic'], { answer: 'y' })
    expect(notes).toContain('123 456')
    expect(out).toBe('This PC and Attic are paired.\n')
    expect(code).toBe(0)
  })

  it('is refused after a no, and where nobody can be asked', async () => {
    host.on('docks.startPairing', () => {
      host.emit({ type: 'pairing.changed', pairing: fakePairing })
      return fakePairing
    })
    expect((await wdock(['pair', 'attic'], { answer: 'n' })).code).toBe(130)
    expect(host.calls.at(-1)).toEqual({ name: 'docks.refusePairing', input: { pairingId: 'pairing-1' } })
    expect((await wdock(['pair', 'attic'])).code).toBe(2)
  })
})

describe('the host', () => {
  it('gives every event as a line of JSON until Ctrl-C', async () => {
    const { code, out } = await wdock(['watch'], {
      onReady: (interrupt) => {
        setTimeout(() => told({ kind: 'running', cancellable: true }), 60)
        setTimeout(interrupt, 120)
      },
    })
    expect(code).toBe(0)
    const types = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).type)
    expect(types).toEqual(['snapshot', 'operation.changed'])
  })

  it('changes settings and shows all of them', async () => {
    const { out } = await wdock(['settings', 'dockName=My desk', 'discovery=no'])
    expect(host.calls.at(-1)?.input).toEqual({ dockName: 'My desk', discovery: false })
    expect(out).toMatch(/^dockName: +My desk$/m)
  })

  it('opens a window on a guest with the token in the fragment', async () => {
    const { windows } = await wdock(['guest', 'screen', 'travel'])
    const { url, token } = bench.server ?? { url: '', token: '' }
    expect(windows).toEqual([{ url, token, view: `guest/${laptopId}/${guestThereId}` }])
  })
})
