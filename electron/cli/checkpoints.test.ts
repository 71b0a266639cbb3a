/** Checkpoints, the vault and lending on the command line. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import { defaultCheckpointRules, type LentLink, type VaultState } from '../../shared/models/checkpoint.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { fakeCheckpoint, guestHereId } from '../ipc/testing/fake-service.ts'
import { CliBench, type Situation } from './testing/cli-bench.ts'
import { localTime } from './times.ts'

let bench: CliBench
const wdock = (words: string[], situation?: Situation) => bench.wdock(words, situation)
const called = (name: string) => bench.host.calls.find((call) => call.name === name)?.input
const id = (letter: string) => letter.repeat(32)

beforeEach(async () => {
  bench = await CliBench.start()
  bench.host.state = {
    ...bench.host.state,
    checkpoints: [
      fakeCheckpoint({ id: id('a'), label: { name: 'Before update', note: '', pinned: true } }),
      fakeCheckpoint({ id: id('b'), reason: 'interval', freezeMs: null, place: { kind: 'on-its-way' } }),
      fakeCheckpoint({ id: id('d'), guestId: '33333333-3333-4333-8333-333333333333', guestName: 'Lost one' }),
    ],
  }
})
afterEach(async () => await bench.end())

function operation(work: Operation['work'], kind: 'done' | 'failed' = 'done'): Operation {
  const error = fail('qemu.memory_too_busy').toJSON()
  return {
    ...{ id: 'operation-1', guestId: guestHereId, guestName: 'Debian', startedAtMs: 0, work },
    state: kind === 'done' ? { kind, endedAtMs: 1 } : { kind, endedAtMs: 1, error },
    progress: { doneBytes: 5e7, totalBytes: 1e8, rateBytesPerS: 1e7, timeLeft: null },
  }
}

const made = (kind: 'done' | 'failed' = 'done') =>
  operation(
    { kind: 'checkpoint', checkpointId: id('b'), reason: 'person', phase: 'finishing', freezeMs: 41 },
    kind,
  )

describe('checkpoints', () => {
  it('are listed, of all guests or of one, also of one that is on no dock', async () => {
    const { out } = await wdock(['checkpoints'])
    expect(out.split('\n')[0]).toMatch(/^ID +GUEST +WHEN +NAME +WHY +SIZE +ADDED +FROZEN +WHERE$/)
    expect(out).toContain(
      `aaaaaaaa  Debian    ${localTime(0)}  pinned Before update  made by hand    42 MB  3.0 MB  0.04 s  in the vault`,
    )
    expect(out).toContain('on its way, only on this PC so far')
    const lost = await wdock(['checkpoints', 'lost'])
    expect(lost.out).toContain('dddddddd')
    expect(lost.out).not.toContain('aaaaaaaa')
    expect(JSON.parse((await wdock(['checkpoints', 'lost', '--json'])).out).checkpoints).toHaveLength(1)
  })

  it('are made with a name and a note, followed to their end', async () => {
    bench.host.on('checkpoints.make', () => {
      bench.host.emit({ type: 'operation.changed', operation: made() })
      return { operationId: 'operation-1' }
    })
    const words = ['checkpoint', 'deb', '--name', 'Good', '--note', 'before', '--pin']
    const { code, out } = await wdock(words)
    expect(code).toBe(0)
    expect(called('checkpoints.make')).toEqual({
      guestId: guestHereId,
      label: { name: 'Good', note: 'before', pinned: true },
    })
    expect(out).toBe(
      'Checkpoint bbbbbbbb of Debian: 42 MB, added 3.0 MB, on its way, only on this PC so far.\n',
    )
  })

  it('are waited for until they are in the vault where that is wanted', async () => {
    bench.host.on('checkpoints.make', () => {
      bench.host.emit({ type: 'operation.changed', operation: made() })
      setTimeout(() => {
        bench.host.emit({
          type: 'checkpoint.changed',
          checkpoint: fakeCheckpoint({ id: id('b'), freezeMs: 41 }),
        })
      }, 40)
      return { operationId: 'operation-1' }
    })
    const { out } = await wdock(['checkpoint', 'deb', '--stored'])
    expect(out).toContain('frozen for 0.04 s, in the vault.')
  })

  it('that fail say why, with exit code 1', async () => {
    bench.host.on('checkpoints.make', () => {
      bench.host.emit({ type: 'operation.changed', operation: made('failed') })
      return { operationId: 'operation-1' }
    })
    const { code, notes } = await wdock(['checkpoint', 'deb'])
    expect(code).toBe(1)
    expect(notes).toContain('changes its memory faster than it can be copied')
  })

  it('are shown while they are made, in the words of people', async () => {
    const work = { ...made().work, phase: 'reading-memory' } as Operation['work']
    const running = { ...made(), work, state: { kind: 'running', cancellable: true } } as const
    bench.host.emit({ type: 'operation.changed', operation: running })
    expect((await wdock(['status'])).out).toContain(
      'Debian: checkpoint: reading its memory · 50 MB of 100 MB · 10 MB/s (operatio)',
    )
  })

  it('are named by their name or how their id begins, changed and pinned', async () => {
    await wdock(['checkpoint-label', 'before', '--name', 'After', '--unpin'])
    expect(called('checkpoints.relabel')).toEqual({
      checkpointId: id('a'),
      change: { name: 'After', pinned: false },
    })
    expect((await wdock(['checkpoint-label', 'bbb'])).notes).toContain(
      'one of --name, --note, --pin or --unpin',
    )
    expect((await wdock(['checkpoint-label', 'zzz', '--pin'])).notes).toContain(
      'There is no checkpoint called zzz.',
    )
  })

  it('are deleted after a yes only', async () => {
    expect((await wdock(['checkpoint-delete', 'bbb'])).code).toBe(2)
    expect((await wdock(['checkpoint-delete', 'bbb'], { answer: 'n' })).code).toBe(130)
    expect(called('checkpoints.remove')).toBeUndefined()
    const { notes } = await wdock(['checkpoint-delete', 'bbb'], { answer: 'y' })
    expect(notes).toContain('This cannot be undone.')
    expect(called('checkpoints.remove')).toEqual({ checkpointId: id('b') })
  })

  it('have a picture that is saved', async () => {
    expect((await wdock(['checkpoint-picture', 'aaa', '--output', 'x.png'])).notes).toContain(
      'has no picture',
    )
    bench.host.on('checkpoints.picture', () => ({ pngBase64: Buffer.from('png').toString('base64') }))
    const path = join(bench.root, 'shot.png')
    expect((await wdock(['checkpoint-picture', 'aaa', '--output', path])).code).toBe(0)
    expect(readFileSync(path, 'utf8')).toBe('png')
  })
})

describe('restoring', () => {
  beforeEach(() => {
    const work = { kind: 'restore', checkpointId: id('a'), phase: 'finishing', slowSentence: null } as const
    bench.host.on('checkpoints.restore', () => {
      bench.host.emit({ type: 'operation.changed', operation: operation(work) })
      return { operationId: 'operation-1', guestId: guestHereId }
    })
  })

  it('over a guest that is here asks first, and says that its present state is kept', async () => {
    expect((await wdock(['restore', 'aaa'])).code).toBe(2)
    expect(called('checkpoints.restore')).toBeUndefined()
    const { notes, out } = await wdock(['restore', 'aaa'], { answer: 'yes' })
    expect(notes).toContain('Its present state is kept as a checkpoint first.')
    expect(called('checkpoints.restore')).toEqual({ checkpointId: id('a'), as: 'same' })
    expect(out).toBe('Debian is restored.\n')
  })

  it('a guest that is nowhere, or a copy, asks nothing', async () => {
    expect((await wdock(['restore', 'ddd'])).code).toBe(0)
    expect((await wdock(['restore', 'aaa', '--copy'])).code).toBe(0)
    expect(
      bench.host.calls.filter(({ name }) => name === 'checkpoints.restore').map(({ input }) => input),
    ).toEqual([
      { checkpointId: id('d'), as: 'same' },
      { checkpointId: id('a'), as: 'copy' },
    ])
  })
})

describe('the rules', () => {
  it('are shown, and changed one by one', async () => {
    expect((await wdock(['checkpoint-rules', 'deb'])).out).toContain('every:       never')
    expect(called('checkpoints.changeRules')).toBeUndefined()
    const { out } = await wdock(['checkpoint-rules', 'deb', 'every=2h', 'before-move=yes', 'keep-daily=14'])
    expect(called('checkpoints.changeRules')).toEqual({
      guestId: guestHereId,
      rules: {
        ...defaultCheckpointRules,
        everyMinutes: 120,
        beforeMove: true,
        keep: { ...defaultCheckpointRules.keep, daily: 14 },
      },
    })
    expect(out).toContain('every:       120m')
  })

  it.each([
    ['every=soon', 'every must be a span such as 30m, 2h, 1d or 4w.'],
    ['sleep=maybe', 'sleep must be yes or no.'],
    ['keep-last=-1', 'keep-last must be a whole number.'],
    ['colour=red', '"colour=red" is not NAME=VALUE with one of every,'],
    ['constructor=1', '"constructor=1" is not NAME=VALUE'],
  ])('refuse %s', async (pair, sentence) => {
    const { code, notes } = await wdock(['checkpoint-rules', 'deb', pair])
    expect(notes).toContain(sentence)
    expect(code).toBe(2)
  })
})

describe('the vault', () => {
  const ready: VaultState = {
    ...{ kind: 'ready', vaultId: 'v', placeKind: 'folder', placeSentence: 'the folder /mnt/nas' },
    ...{ keySentence: 'In a file.', canLend: false, phraseSeen: false, trouble: null },
    ...{ checkpointList: { kind: 'read' }, lentList: { kind: 'read' } },
  }

  it('is shown, also when there is none', async () => {
    expect((await wdock(['vault'])).out).toContain('No place for checkpoints has been chosen.')
    bench.host.emit({ type: 'vault.changed', vault: ready })
    expect((await wdock(['vault'])).out).toContain('not written down yet: wdock vault phrase')
  })

  it('in a folder is made, and its phrase shown to be written down', async () => {
    const { out, notes } = await wdock(['vault', 'create', '--folder', 'here'], { answer: 'y' })
    expect(called('vault.create')).toEqual({ kind: 'folder', path: join(process.cwd(), 'here') })
    expect(notes).toContain(' 1 word1       7 word7      13 word13     19 word19\n')
    expect(notes).toContain(' 6 word6      12 word12     18 word18     24 word24\n')
    expect(called('vault.phraseSeen')).toBeUndefined()
    expect(bench.host.calls.map(({ name }) => name)).toContain('vault.phraseSeen')
    expect(out).toContain('The vault is made.')
  })

  it('gives scripts its phrase once, as JSON, and does not take it for written down', async () => {
    const { out, notes } = await wdock(['vault', 'create', '--folder', '/x', '--json'])
    expect(JSON.parse(out).phrase.split(' ')).toHaveLength(24)
    expect(notes).toBe('')
    expect(bench.host.calls.map(({ name }) => name)).not.toContain('vault.phraseSeen')
  })

  it('in Azure takes its secret from a file or an answer, never from the command line', async () => {
    const secretPath = join(bench.root, 'secret')
    writeFileSync(secretPath, 'topsecret\n')
    const azure = ['vault', 'look', '--azure', 'account-key', '--account', 'ada', '--secret-file', secretPath]
    expect((await wdock(azure)).out).toContain('There is nothing there.')
    expect(called('vault.look')).toEqual({
      kind: 'azure',
      access: {
        ...{ kind: 'account-key', account: 'ada', key: 'topsecret', endpoint: null },
        container: 'wireless-dock',
      },
    })
    const asked = await wdock(['vault', 'look', '--azure', 'container-sas'], {
      answer: 'https://x.example/c?s',
    })
    expect(asked.notes).toContain('Access link of the container: ')
    const unasked = await wdock(['vault', 'look', '--azure', 'connection-string'])
    expect(unasked.notes).toContain('Connection string is needed, and nobody can be asked for it here.')
    expect(unasked.code).toBe(2)
  })

  it.each([
    [['vault', 'create'], 'one of --folder, --azure or --azurite is needed.'],
    [['vault', 'create', '--folder', 'x', '--azurite'], '--folder and --azurite exclude each other.'],
    [
      ['vault', 'create', '--azure', 'key'],
      '--azure must be connection-string, account-key or container-sas.',
    ],
    [['vault', 'create', '--azure', 'account-key'], '--account is needed with an access key.'],
    [['vault', 'nonsense'], '"nonsense" is one word too many.'],
  ])('refuses %j', async (words, sentence) => {
    const { code, notes } = await wdock(words)
    expect(notes).toContain(sentence)
    expect(code).toBe(2)
  })

  it('is opened by a phrase from a file', async () => {
    const path = join(bench.root, 'phrase')
    writeFileSync(path, ' one two three \n')
    await wdock(['vault', 'open', '--azurite', '--phrase-file', path])
    expect(called('vault.open')).toEqual({ place: { kind: 'azurite' }, phrase: 'one two three' })
  })

  it('is forgotten after a yes, which says what is lost', async () => {
    const { notes, code } = await wdock(['vault', 'forget'])
    expect(code).toBe(2)
    expect(notes).toContain('1 on the way there, which only this PC has, is lost.')
    expect((await wdock(['vault', 'forget', '--yes'])).code).toBe(0)
    expect(bench.host.calls.at(-1)?.name).toBe('vault.forget')
  })

  it('that is damaged ends the check with 1, and what is damaged is named', async () => {
    expect((await wdock(['vault', 'check'])).out).toBe('1 checkpoint, all whole.\n')
    const error = fail('vault.pack_missing').toJSON()
    bench.host.on('vault.check', () => ({
      ...{ checkpoints: 3, readBytes: 5e6 },
      damaged: [{ checkpointId: id('d'), error }],
    }))
    const { code, out } = await wdock(['vault', 'check', '--read-data'])
    expect(code).toBe(1)
    expect(out).toContain('Damaged: 1 of 3 checkpoints, 5.0 MB read:\n- dddddddd of Lost one: Data of this')
  })

  it('tells what it holds and frees what is unused', async () => {
    expect((await wdock(['vault', 'stats'])).out).toContain(
      'Unused:          1.0 MB, freed by: wdock vault gc',
    )
    expect((await wdock(['vault', 'gc'])).out).toBe('0 B freed.\n')
  })

  it('is no longer checked once Ctrl-C was pressed, nor its space freed', async () => {
    for (const [words, name] of [
      [['vault', 'check'], 'vault.check'],
      [['vault', 'gc'], 'vault.sweep'],
    ] as const) {
      const ended = Promise.withResolvers<void>()
      bench.host.on(name, async (_input: never, { signal }) => {
        signal.addEventListener('abort', () => ended.resolve())
        await ended.promise
        throw fail('host.cancelled')
      })
      const { code } = await wdock([...words], { onReady: (interrupt) => setTimeout(interrupt, 30) })
      expect(code).toBe(130)
      await ended.promise
    }
  })

  it('says on a terminal how far a check is', async () => {
    const progress = { kind: 'check', checkpoints: 1, ofCheckpoints: 3, readBytes: 5e6 } as const
    const told = Promise.withResolvers<void>()
    bench.host.on('vault.check', async () => {
      bench.host.emit({ type: 'vault-work.changed', work: { id: 'w', progress } })
      while (bench.host.watchers === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      setTimeout(() => told.resolve(), 30)
      await told.promise
      return { checkpoints: 3, readBytes: 9e6, damaged: [] }
    })
    const { notes, out } = await wdock(['vault', 'check'], { isTerminal: true })
    expect(notes).toContain('1 of 3 checkpoints, 5.0 MB read')
    expect(out).toBe('3 checkpoints, all whole.\n')
  })
})

describe('lending', () => {
  it('is for a day unless told, and prints nothing but the link', async () => {
    const { out, notes } = await wdock(['lend', 'aaa'])
    expect(out).toBe('wdock:lend?u=x#y\n')
    expect(notes).toContain('Whoever has this link can restore the checkpoint, until ')
    const span = called('lending.lend') as { startMs: null; endMs: number }
    expect(span.startMs).toBeNull()
    expect(span.endMs - Date.now()).toBeGreaterThan(86_390_000)
  })

  it('takes a span, an end or neither', async () => {
    await wdock(['lend', 'aaa', '--for', 'ever'])
    expect(called('lending.lend')).toMatchObject({ startMs: null, endMs: null })
    bench.host.calls.length = 0
    await wdock(['lend', 'aaa', '--from', '2099-01-01', '--until', '2099-02-01 12:30'])
    expect(called('lending.lend')).toMatchObject({
      startMs: new Date(2099, 0, 1).getTime(),
      endMs: new Date(2099, 1, 1, 12, 30).getTime(),
    })
  })

  it.each([
    [['--for', 'long'], '--for must be a span such as'],
    [['--until', 'tomorrow'], '--until must be a time such as "2026-12-24 18:00".'],
    [['--until', '2099-02-31'], '--until must be a time such as'],
    [['--until', '2001-01-01'], 'it would have ended before it begins.'],
    [['--until', '2099-01-01', '--for', '1d'], '--until and --for exclude each other.'],
  ])('refuses %j', async (flags, sentence) => {
    const { code, notes } = await wdock(['lend', 'aaa', ...flags])
    expect(notes).toContain(sentence)
    expect(code).toBe(2)
  })

  it('is listed and taken back', async () => {
    expect((await wdock(['links'])).out).toBe('Nothing is lent from this PC.\n')
    const link: LentLink = {
      ...{
        shareId: id('e'),
        checkpointId: id('a'),
        guestName: 'Debian',
        atMs: 0,
        lentAtMs: 0,
        startMs: null,
      },
      ...{
        endMs: null,
        link: 'wdock:lend?u=x#y',
        state: { kind: 'preparing', doneBytes: 1e6, totalBytes: 2e6 },
      },
    }
    bench.host.emit({ type: 'lent.changed', link })
    expect((await wdock(['links'])).out).toContain(
      'for ever  being prepared, 1.0 MB of 2.0 MB  wdock:lend?u=x#y',
    )
    expect((await wdock(['revoke', 'deb'])).code).toBe(2)
    await wdock(['revoke', 'deb', '--yes'])
    expect(called('lending.revoke')).toEqual({ shareId: id('e') })
  })

  it('is said to be missing from a list that could not be read, as a checkpoint is', async () => {
    const error = fail('store.unreachable', { place: 'the cloud' }).toJSON()
    const vault: VaultState = {
      ...{ kind: 'ready', vaultId: 'v', placeKind: 'azure', placeSentence: 'the cloud', keySentence: '' },
      ...{ canLend: true, phraseSeen: true, trouble: null },
      ...{ checkpointList: { kind: 'unread', error }, lentList: { kind: 'unread', error } },
    }
    bench.host.emit({ type: 'vault.changed', vault })
    const { out, notes } = await wdock(['links'])
    expect(notes).toMatch(/^Some links may be missing here; .* The cloud does not answer\.\n$/)
    expect(out).not.toContain('Nothing is lent')
    expect((await wdock(['checkpoints'])).notes).toMatch(
      /^Some checkpoints may be missing here\. .* The cloud does not answer\.\n$/,
    )
  })

  it('is looked at before it is received', async () => {
    const link = 'wdock:lend?u=x#y'
    const looked = await wdock(['receive', link, '--look'])
    expect(looked.out).toContain('Needs:         2 cores, 512 MiB, a disk of 2.1 GB')
    expect((await wdock(['receive', link])).code).toBe(2)
    expect(called('lending.receive')).toBeUndefined()
    await wdock(['receive', '--no-wait', '--yes'], { answer: link })
    expect(called('lending.receive')).toEqual({ link })
  })
})
