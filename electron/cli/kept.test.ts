/** The memory of guests that is kept, on the command line. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import type { KeptGuestMemory } from '../../shared/models/kept-memory.ts'
import { type FakeHost, guestHereId, laptopId } from '../ipc/testing/fake-service.ts'
import { CliBench } from './testing/cli-bench.ts'
import { localTime } from './times.ts'

const goneId = '33333333-3333-4333-8333-333333333333'
const namelessId = '44444444-4444-4444-8444-444444444444'

let bench: CliBench
let host: FakeHost
const wdock = (...words: string[]) => bench.wdock(words)

beforeEach(async () => {
  bench = await CliBench.start()
  host = bench.host
})

afterEach(async () => await bench.end())

function keep(...guests: Pick<KeptGuestMemory, 'guestId' | 'guestName'>[]): void {
  const kept = { dockId: laptopId, dockName: 'Laptop', bytes: 512 * 2 ** 20, usedAtMs: 0 }
  const keptMemory = {
    guests: guests.map((guest) => ({ ...guest, ...kept })),
    totalBytes: guests.length * kept.bytes,
  }
  host.emit({ type: 'kept-memory.changed', keptMemory })
}

const debian = { guestId: guestHereId, guestName: 'Debian' }
const gone = { guestId: goneId, guestName: 'Old machine' }
const nameless = { guestId: namelessId, guestName: null }

describe('kept memory', () => {
  it('is listed with its total and the limit', async () => {
    keep(debian, gone, nameless)
    const { out } = await wdock('kept')
    const at = localTime(0)
    expect(out).toBe(
      [
        'GUEST        SIZE     LAST USED         WITH    ID',
        `Debian       512 MiB  ${at}  Laptop  11111111`,
        `Old machine  512 MiB  ${at}  Laptop  33333333`,
        `(not known)  512 MiB  ${at}  Laptop  44444444`,
        '1.5 GiB of at most 16 GiB.',
        'Change that with: wdock settings keptMemoryMiB=16384',
        '',
      ].join('\n'),
    )
    expect(JSON.parse((await wdock('kept', '--json')).out)).toEqual({
      ...host.state.keptMemory,
      limitBytes: 16 * 2 ** 30,
    })
  })

  it('may be none, and none at all', async () => {
    expect((await wdock('kept')).out).toMatch(/^Nothing is kept\.\n0 MiB of at most 16 GiB\.\n/)
    host.emit({ type: 'settings.changed', settings: { ...host.state.settings, keptMemoryMiB: 0 } })
    expect((await wdock('kept')).out).toMatch(/^Nothing is kept\.\nNothing may be kept\.\n/)
  })

  it.each([
    ['old', goneId],
    ['Debian', guestHereId],
    ['4444', namelessId],
  ])('is forgotten of the guest %s, be it here or not', async (word, guestId) => {
    keep(debian, gone, nameless)
    const { code, out } = await wdock('kept', 'forget', word)
    expect(code).toBe(0)
    expect(out).toMatch(/^Nothing is kept of .* any more\. Its next move takes as long as a first one\.\n$/)
    expect(host.calls.at(-1)).toEqual({ name: 'keptMemory.forget', input: { guestId } })
  })

  it('is forgotten of all, and the ids are told to scripts', async () => {
    keep(debian, gone)
    const { out } = await wdock('kept', 'forget', '--all', '--json')
    expect(JSON.parse(out)).toEqual({ guestIds: [guestHereId, goneId] })
    expect(host.calls.at(-1)?.name).toBe('keptMemory.forgetAll')
  })

  it('is not forgotten while a move uses it, and what to do is said', async () => {
    keep(debian)
    host.on('keptMemory.forget', () => {
      throw fail('kept.in_use', { name: 'Debian' })
    })
    const { code, notes } = await wdock('kept', 'forget', 'debian')
    expect(code).toBe(1)
    expect(notes).toMatch(/^The memory that is kept of Debian is in use: .*\nWait until that is over/)
  })

  it.each([
    [[], 'either a guest or --all is needed.'],
    [['Debian', '--all'], 'either a guest or --all is needed.'],
    [['travel'], 'There is no guest with kept memory called travel.'],
  ])('is not forgotten by %j', async (words, sentence) => {
    keep(debian)
    const { code, notes } = await wdock('kept', 'forget', ...words)
    expect(code).toBe(2)
    expect(notes).toContain(sentence)
  })
})
