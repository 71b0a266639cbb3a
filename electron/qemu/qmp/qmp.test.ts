import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { queryStatus } from './commands.ts'
import { LineSplitter, LineTooLong } from './framing.ts'
import { parseQmpMessage } from './messages.ts'
import { QmpSession } from './session.ts'

describe('framing', () => {
  it('gives the same lines however the bytes are cut', () => {
    const piece = fc.constantFrom('a', 'ü', '你', '😀', '"', ' ')
    const line = fc.array(piece, { maxLength: 8 }).map((pieces) => JSON.stringify(pieces.join('')))
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), fc.array(fc.nat({ max: 20 })), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\r\n`).join(''))
        const splitter = new LineSplitter()
        const found: string[] = []
        let at = 0
        for (const cut of cuts) {
          found.push(...splitter.push(bytes.subarray(at, at + cut)))
          at += cut
        }
        found.push(...splitter.push(bytes.subarray(at)))
        expect(found).toEqual(lines)
        expect(splitter.pendingBytes).toBe(0)
      }),
    )
  })

  it('refuses a line without end', () => {
    const splitter = new LineSplitter(10)
    expect(splitter.push(Buffer.from('123456789\n123'))).toEqual(['123456789'])
    expect(() => splitter.push(Buffer.from('45678901'))).toThrow(LineTooLong)
  })
})

describe('messages', () => {
  it('are an event, an answer or an error, and nothing else', () => {
    const timestamp = { seconds: 2, microseconds: 500_000 }
    expect(parseQmpMessage(JSON.stringify({ event: 'STOP', timestamp }))).toEqual({
      kind: 'event',
      event: { name: 'STOP', data: {}, timeMs: 2500 },
    })
    expect(parseQmpMessage('{"return": {}, "id": 4}')).toEqual({ kind: 'return', id: 4, value: {} })
    expect(parseQmpMessage('{"error": {"class": "GenericError", "desc": "no"}}')).toMatchObject({ id: null })
    for (const text of ['', 'null', '[]', '{}', '{"return":1}', '{"event":3}', '{"error":"x"}', '{"id":1}']) {
      expect(parseQmpMessage(text)).toBeNull()
    }
  })
})

const greeting = {
  QMP: { version: { qemu: { major: 7, minor: 2, micro: 1 }, package: '' }, capabilities: [] },
}

/** A stand-in for QEMU's end of the monitor. */
class FakeMonitor {
  readonly toClient = new PassThrough()
  readonly fromClient = new PassThrough()
  readonly commands: { execute: string; id: number }[] = []
  /** What to answer; a command that is not here gets no answer. */
  readonly answers = new Map<string, object>([['qmp_capabilities', { return: {} }]])

  constructor(hello: unknown = greeting) {
    const splitter = new LineSplitter()
    this.fromClient.on('data', (chunk: Buffer) => {
      for (const line of splitter.push(chunk)) {
        const command: { execute: string; id: number } = JSON.parse(line)
        this.commands.push(command)
        const answer = this.answers.get(command.execute)
        if (answer) this.say({ ...answer, id: command.id })
      }
    })
    this.say(hello)
  }

  say(value: unknown): void {
    this.toClient.write(`${JSON.stringify(value)}\n`)
  }

  event(name: string, data: object = {}): void {
    this.say({ event: name, data, timestamp: { seconds: 1, microseconds: 0 } })
  }

  connect(timeoutMs = 1000): Promise<QmpSession> {
    return QmpSession.over({ input: this.toClient, output: this.fromClient }, { timeoutMs })
  }
}

describe('a session', () => {
  it('negotiates, then matches answers to commands by id', async () => {
    const monitor = new FakeMonitor()
    const qmp = await monitor.connect()
    expect(qmp.version.qemu.major).toBe(7)
    const first = qmp.execute('first')
    const second = qmp.execute('second')
    await expect.poll(() => monitor.commands.length).toBe(3)
    monitor.say({ return: 'two', id: monitor.commands[2]?.id })
    monitor.say({ return: 'one', id: monitor.commands[1]?.id })
    expect(await Promise.all([first, second])).toEqual(['one', 'two'])
    qmp.close()
  })

  it('tells QEMU’s class and words when a command is refused, and lives on', async () => {
    const monitor = new FakeMonitor()
    const qmp = await monitor.connect()
    monitor.answers.set('eject', { error: { class: 'DeviceNotFound', desc: 'no such device' } })
    await expect(qmp.execute('eject')).rejects.toMatchObject({
      code: 'qemu.command_failed',
      detail: 'eject: DeviceNotFound: no such device',
    })
    monitor.answers.set('query-status', { return: { running: true, status: 'running' } })
    expect((await queryStatus(qmp)).status).toBe('running')
    qmp.close()
  })

  it('gives up on a silent command, and drops its late answer', async () => {
    const monitor = new FakeMonitor()
    const qmp = await monitor.connect()
    await expect(qmp.execute('slow', {}, { timeoutMs: 20 })).rejects.toMatchObject({ code: 'qemu.silent' })
    monitor.say({ return: {}, id: monitor.commands.at(-1)?.id })
    monitor.answers.set('query-status', { return: { running: false, status: 'paused' } })
    expect((await queryStatus(qmp)).running).toBe(false)
    qmp.close()
  })

  it('says so when an answer has not the expected form', async () => {
    const monitor = new FakeMonitor()
    const qmp = await monitor.connect()
    monitor.answers.set('query-status', { return: { running: 'yes' } })
    await expect(queryStatus(qmp)).rejects.toMatchObject({ code: 'qemu.bad_reply' })
    qmp.close()
  })
})

describe('a session that ends or hears of events', () => {
  it('fails everyone who waits when the connection is lost', async () => {
    const monitor = new FakeMonitor()
    const qmp = await monitor.connect()
    const closed = new Promise((resolve) => qmp.onClose(resolve))
    const waiting = [qmp.execute('a'), qmp.execute('b'), qmp.waitForEvent(() => true, { timeoutMs: 60_000 })]
    monitor.toClient.end()
    for (const outcome of await Promise.allSettled(waiting)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'qemu.gone' } })
    }
    await closed
    await expect(qmp.execute('c')).rejects.toMatchObject({ code: 'qemu.gone' })
    expect(await new Promise((resolve) => qmp.onClose(resolve))).toMatchObject({ code: 'qemu.gone' })
  })

  it('hands events to waiters and listeners, and stops when asked', async () => {
    const monitor = new FakeMonitor()
    const qmp = await monitor.connect()
    const names: string[] = []
    const stop = qmp.onEvent((event) => names.push(event.name))
    const resumed = qmp.waitForEvent((event) => event.name === 'RESUME', { timeoutMs: 1000 })
    monitor.event('STOP')
    monitor.event('RESUME')
    expect((await resumed).name).toBe('RESUME')
    stop()
    monitor.event('RESET')
    const aborter = new AbortController()
    const never = qmp.waitForEvent((event) => event.name === 'NEVER', {
      timeoutMs: 1000,
      signal: aborter.signal,
    })
    aborter.abort()
    await expect(never).rejects.toMatchObject({ code: 'host.cancelled' })
    await expect(qmp.waitForEvent(() => false, { timeoutMs: 10 })).rejects.toMatchObject({
      code: 'qemu.silent',
    })
    expect(names).toEqual(['STOP', 'RESUME'])
    qmp.close()
  })

  it('refuses a peer that does not greet, greets wrongly, or talks nonsense', async () => {
    const mute = new FakeMonitor({ hello: 1 })
    await expect(mute.connect()).rejects.toMatchObject({ code: 'qemu.bad_reply' })
    const silent = new PassThrough()
    const over = QmpSession.over({ input: silent, output: new PassThrough() }, { timeoutMs: 20 })
    await expect(over).rejects.toMatchObject({ code: 'qemu.silent' })
    const monitor = new FakeMonitor()
    const qmp = await monitor.connect()
    const waiting = qmp.execute('a')
    monitor.toClient.write('nonsense\n')
    await expect(waiting).rejects.toMatchObject({ code: 'qemu.bad_reply' })
    expect(qmp.isClosed).toBe(true)
  })
})
