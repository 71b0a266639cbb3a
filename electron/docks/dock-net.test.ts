import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import { isOnline, loopback, TestDocks, until } from './testing/docks.ts'

const docks = new TestDocks()
afterEach(() => docks.dispose())

describe('two paired docks', () => {
  it('come online when one learns the address of the other, and see each other’s name and version', async () => {
    const { a, b } = await docks.linked()
    expect(a.peers()).toMatchObject([
      { id: b.id, name: 'Beta', paired: true, state: 'online', appVersion: '0.1.0' },
    ])
    expect(b.peers()).toMatchObject([{ id: a.id, name: 'Alpha', paired: true, state: 'online' }])
    await until(() => (a.peers()[0]?.linkRttMs ?? null) !== null)
  })

  it('answer requests, either way, and errors arrive as what they are', async () => {
    const { a, b } = await docks.linked()
    b.handle('add', async (from, params) => ({ from: from.name, params }))
    a.handle('no', async () => {
      throw fail('guest.busy', { name: 'web', what: 'it is moving' })
    })
    a.handle('bug', async () => {
      throw new Error('secret path')
    })
    expect(await a.request(b.id, 'add', [1, 2])).toEqual({ from: 'Alpha', params: [1, 2] })
    await expect(b.request(a.id, 'no', null)).rejects.toMatchObject({
      code: 'guest.busy',
      message: 'web is busy: it is moving.',
    })
    await expect(b.request(a.id, 'bug', null)).rejects.toMatchObject({
      code: 'host.unexpected',
      detail: null,
    })
    await expect(b.request(a.id, 'unknown', null)).rejects.toMatchObject({ code: 'host.bad_input' })
  })

  it('give up requests by timeout and by signal, and tell the far handler', async () => {
    const { a, b } = await docks.linked()
    const started: string[] = []
    const aborted: string[] = []
    b.handle('slow', async (_from, params, signal) => {
      started.push(String(params))
      await once(signal, 'abort')
      aborted.push(String(params))
    })
    await expect(a.request(b.id, 'slow', 'timeout', { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'dock.silent',
    })
    const controller = new AbortController()
    const waiting = a.request(b.id, 'slow', 'signal', { signal: controller.signal })
    await until(() => started.length === 2)
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'host.cancelled' })
    await until(() => aborted.length === 2)
  })

  it('refuse a request that is too large, and stay online', async () => {
    const { a, b } = await docks.linked()
    b.handle('echo', async (_from, params) => params)
    b.handle('big', async () => 'x'.repeat(1_100_000))
    await expect(a.request(b.id, 'echo', 'x'.repeat(1_100_000))).rejects.toMatchObject({
      code: 'host.bad_input',
    })
    await expect(a.request(b.id, 'big', null)).rejects.toMatchObject({ code: 'host.bad_input' })
    expect(await a.request(b.id, 'echo', 'y'.repeat(900_000))).toHaveLength(900_000)
  })

  it('hear events', async () => {
    const { a, b } = await docks.linked()
    const heard: unknown[] = []
    b.onEvent('guest.stopped', (from, data) => heard.push([from.dockId === a.id, data]))
    a.emit(b.id, 'guest.stopped', { id: 1 })
    a.emit('all', 'guest.stopped', { id: 2 })
    await until(() => heard.length === 2)
    expect(heard).toEqual([
      [true, { id: 1 }],
      [true, { id: 2 }],
    ])
  })
})

describe('the link between two docks', () => {
  it('is one, also when both dial at once', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { a, b } = await docks.pair()
      const events: string[] = []
      a.onOnline(() => events.push('a online'))
      b.onOnline(() => events.push('b online'))
      a.onOffline(() => events.push('a offline'))
      b.onOffline(() => events.push('b offline'))
      b.handle('echo', async (_from, params) => params)
      await Promise.all([a.connectByAddress(loopback, b.port), b.connectByAddress(loopback, a.port)])
      expect(await a.request(b.id, 'echo', round)).toBe(round)
      await until(() => isOnline(b, a.id))
      expect(events.toSorted()).toEqual(['a online', 'b online'])
      await docks.dispose()
    }
  })

  it('comes back when one restarts on the same port', async () => {
    const { a, b, dirB } = await docks.linked()
    const { port } = b
    const seen: string[] = []
    a.onOffline(() => seen.push('offline'))
    a.onOnline(() => seen.push('online'))
    await b.close()
    await until(() => seen.length === 1)
    expect(a.peers()).toMatchObject([{ id: b.id, state: 'offline' }])
    expect(a.peers()[0]?.lastSeenAtMs).toBeGreaterThan(Date.now() - 5000)
    await docks.open('Beta', { configDir: dirB, port })
    await until(() => seen.length === 2)
    expect(seen).toEqual(['offline', 'online'])
  })

  it('fails what waits on it when the other dock goes away', async () => {
    const { a, b } = await docks.linked()
    b.handle('never', () => new Promise(() => {}))
    const waiting = a.request(b.id, 'never', null)
    const failure = expect(waiting).rejects.toMatchObject({ code: 'dock.link_lost' })
    await new Promise((resolve) => setTimeout(resolve, 30))
    await b.close()
    await failure
    await expect(a.request(b.id, 'never', null)).rejects.toMatchObject({ code: 'dock.unreachable' })
  })

  it('carries new names', async () => {
    const { a, b } = await docks.linked()
    await a.setName('Attic')
    await until(() => b.peers()[0]?.name === 'Attic')
    b.handle('who', async (from) => from.name)
    expect(await a.request(b.id, 'who', null)).toBe('Attic')
  })

  it('does not decide names: they are kept across restarts, and what is none is rejected', async () => {
    const { a, dirA } = await docks.pair()
    await a.setName('Küche')
    await expect(a.setName(' ')).rejects.toMatchObject({ code: 'host.bad_input' })
    await expect(a.setName('x\u0000y')).rejects.toMatchObject({ code: 'host.bad_input' })
    await a.close()
    expect((await docks.open('other', { configDir: dirA })).name).toBe('Küche')
  })
})

describe('a stream', () => {
  it('carries bytes after the far handler has accepted its header', async () => {
    const { a, b } = await docks.linked()
    b.handleStream('layer', async (from, header) => (stream) => {
      stream.end(`${from.name} ${JSON.stringify(header)}`)
    })
    const stream = await a.openStream(b.id, 'layer', { layer: 'l1' })
    expect(await textOf(stream)).toBe('Alpha {"layer":"l1"}')
    stream.end()
  })

  it('loses no byte that the far end sends right behind its acceptance', async () => {
    const { a, b } = await docks.linked()
    const bytes = Buffer.alloc(3_000_000, 'abcdefg')
    b.handleStream('memory', async () => (stream) => {
      stream.end(bytes)
    })
    const stream = await a.openStream(b.id, 'memory', null)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await textOf(stream)).toBe(bytes.toString())
    stream.end()
  })

  it('that is refused fails with the far handler’s own error', async () => {
    const { a, b } = await docks.linked()
    b.handleStream('disk', async () => {
      throw fail('disk.layer_missing', { layer: 'l7' })
    })
    await expect(a.openStream(b.id, 'disk', {})).rejects.toMatchObject({ code: 'disk.layer_missing' })
    await expect(a.openStream(b.id, 'screen', {})).rejects.toMatchObject({ code: 'dock.refused' })
    await expect(a.openStream(b.id, 'disk', 'x'.repeat(70_000))).rejects.toMatchObject({
      code: 'host.bad_input',
    })
  })

  it('whose handler does not decide is given up', async () => {
    const { a, b } = await docks.linked()
    b.handleStream('disk', () => new Promise(() => {}))
    const tried = a.openStream(b.id, 'disk', {}, { timeoutMs: 80 })
    await expect(tried).rejects.toMatchObject({ code: 'dock.silent' })
  })
})

describe('unpairing', () => {
  it('cuts every channel at once on both sides, and both forget', async () => {
    const { a, b } = await docks.linked()
    const accepted: Duplex[] = []
    b.handleStream('memory', async () => (stream) => accepted.push(stream))
    const stream = await a.openStream(b.id, 'memory', null)
    const told: string[] = []
    b.onUnpaired((id) => told.push(id))
    const closed = Promise.all([
      once(stream, 'close'),
      ...accepted.map((each) => once(each.resume(), 'close')),
    ])
    await a.unpair(b.id)
    expect(stream.destroyed).toBe(true)
    await closed
    await until(() => told.length === 1)
    expect(a.peers().filter(({ paired }) => paired)).toEqual([])
    expect(b.peers().filter(({ paired }) => paired)).toEqual([])
    await expect(b.request(a.id, 'x', null)).rejects.toMatchObject({ code: 'dock.not_paired' })
    await expect(a.openStream(b.id, 'memory', null)).rejects.toMatchObject({ code: 'dock.not_paired' })
  })

  it('reaches a dock that was away when that one comes back', async () => {
    const { a, b, dirB } = await docks.linked()
    const { port } = b
    await b.close()
    await until(() => !isOnline(a, b.id))
    await a.unpair(b.id)
    const again = await docks.open('Beta', { configDir: dirB, port })
    await until(() => again.peers().every(({ paired }) => !paired))
  })
})

describe('identity', () => {
  it('is not taken over by another dock that answers at the same address', async () => {
    const { a, b } = await docks.linked()
    const { port } = b
    await b.close()
    await until(() => !isOnline(a, b.id))
    const impostor = await docks.open('Beta', { port })
    await expect(a.request(b.id, 'x', null)).rejects.toMatchObject({ code: 'dock.identity_changed' })
    expect(isOnline(a, b.id)).toBe(false)
    expect(await a.connectByAddress(loopback, port)).toMatchObject({
      id: impostor.id,
      state: 'nearby',
      paired: false,
    })
  })

  it('outlives restarts', async () => {
    const { a, dirA } = await docks.pair()
    await a.close()
    expect((await docks.open('Alpha', { configDir: dirA })).id).toBe(a.id)
  })
})

describe('an address', () => {
  it('where nobody answers, or this PC itself, is told plainly', async () => {
    const { a, b } = await docks.pair()
    const { port } = b
    await b.close()
    await expect(a.connectByAddress(loopback, port)).rejects.toMatchObject({ code: 'dock.unreachable' })
    await expect(a.connectByAddress(loopback, a.port)).rejects.toMatchObject({ code: 'host.bad_input' })
    await expect(a.startPairing('x')).rejects.toMatchObject({ code: 'dock.not_found' })
  })

  it('that is taken already fails the start', async () => {
    const { a } = await docks.pair()
    await expect(docks.open('Gamma', { port: a.port })).rejects.toMatchObject({ code: 'host.port_in_use' })
  })
})

async function textOf(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks).toString()
}
