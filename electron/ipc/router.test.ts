import { createRouterClient, ORPCError } from '@orpc/server'
import { describe, expect, it } from 'vitest'
import { errorShape, fail } from '../../shared/errors/index.ts'
import { createHostRouter } from './router.ts'
import { FakeHost, goodTicket, guestHereId } from './testing/fake-service.ts'

function setUp() {
  const host = new FakeHost()
  const router = createHostRouter(host.service(), { screenOrigin: () => 'ws://127.0.0.1:4711' })
  return { host, client: createRouterClient(router) }
}

/** The failure of a call, as a face gets it. */
async function failureOf(call: Promise<unknown>) {
  const thrown = await call.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(thrown instanceof ORPCError)) throw new Error('the call did not fail with an ORPCError')
  expect(thrown.code).toBe('FAILED')
  expect(thrown.defined).toBe(true)
  return errorShape.parse(thrown.data)
}

describe('the router', () => {
  it('hands parsed input to the service and its answer back', async () => {
    const { host, client } = setUp()
    const renamed = await client.guests.rename({ guestId: guestHereId, name: '  Bookworm  ' })
    expect(renamed.name).toBe('Bookworm')
    expect(host.calls).toEqual([{ name: 'guests.rename', input: { guestId: guestHereId, name: 'Bookworm' } }])
  })

  it('carries a coded error with its message, fix and detail', async () => {
    const { host, client } = setUp()
    host.on('guests.start', () => {
      throw fail('guest.name_taken', { name: 'Debian' }, { detail: 'at /data' })
    })
    expect(await failureOf(client.guests.start({ guestId: guestHereId }))).toEqual({
      code: 'guest.name_taken',
      message: 'There is already a guest called Debian.',
      fix: 'Choose another name.',
      permanent: true,
      detail: 'at /data',
    })
  })

  it('names any other failure host.unexpected and keeps its stack as detail', async () => {
    const { host, client } = setUp()
    host.on('guests.start', () => {
      throw new TypeError('x is not a function')
    })
    const failure = await failureOf(client.guests.start({ guestId: guestHereId }))
    expect(failure.code).toBe('host.unexpected')
    expect(failure.detail).toContain('x is not a function')
  })

  it('refuses bad values in plain words, before the service sees them', async () => {
    const { host, client } = setUp()
    const failure = await failureOf(client.guests.rename({ guestId: guestHereId, name: ' ' }))
    expect(failure.code).toBe('host.bad_input')
    expect(failure.message).toBe('This is not a valid request: name: a name is needed.')
    expect(host.calls).toEqual([])
  })

  it('refuses unknown fields', async () => {
    const { client } = setUp()
    const input = { guestId: guestHereId, force: true }
    const failure = await failureOf(client.guests.start(input))
    expect(failure.code).toBe('host.bad_input')
    expect(failure.message).toContain('force')
  })

  it('does not let an answer out that breaks the contract', async () => {
    const { host, client } = setUp()
    host.on('guests.log', () => ({ text: 7 }))
    const failure = await failureOf(client.guests.log({ guestId: guestHereId }))
    expect(failure.code).toBe('host.unexpected')
    expect(failure.detail).toContain('text')
  })

  it('makes the path of a screen an address', async () => {
    const { client } = setUp()
    const { url } = await client.guests.openScreen({ guestId: guestHereId, dockId: 'a'.repeat(52) })
    expect(url).toBe(`ws://127.0.0.1:4711/screen/${goodTicket}`)
  })

  it('fails a watch whose source fails with the coded error', async () => {
    const { host, client } = setUp()
    host.watch = async function* () {
      yield { type: 'snapshot', state: host.state }
      throw fail('host.disk_full', { path: '/data' })
    }
    const events = await client.state.watch()
    expect((await events.next()).value).toMatchObject({ type: 'snapshot' })
    expect((await failureOf(events.next())).code).toBe('host.disk_full')
  })
})
