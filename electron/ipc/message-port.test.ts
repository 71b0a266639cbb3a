import { once } from 'node:events'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { createORPCClient } from '@orpc/client'
import { RPCLink } from '@orpc/client/message-port'
import { afterEach, expect, it } from 'vitest'
import type { HostClient } from './connect.ts'
import { createPortServer, type PortLike } from './message-port.ts'
import { createHostRouter } from './router.ts'
import { FakeHost, hereId } from './testing/fake-service.ts'

const open: MessagePort[] = []
afterEach(() => {
  for (const port of open.splice(0)) port.close()
})

/** A port of Node in the shape of Electron's, which wraps each message in an event. */
function asMain(port: MessagePort): PortLike {
  return {
    on: (event: string, listener: (event: { data: unknown }) => void) =>
      port.on(event, (data: unknown) => listener({ data })),
    start: () => port.start(),
    close: () => port.close(),
    postMessage: (message) => port.postMessage(message),
  }
}

function setUp() {
  const host = new FakeHost()
  const serve = createPortServer(createHostRouter(host.service(), { screenOrigin: () => 'ws://127.0.0.1:1' }))
  const { port1, port2 } = new MessageChannel()
  open.push(port1, port2)
  serve(asMain(port2))
  return { host, port: port1 }
}

function clientOf(port: MessagePort): HostClient {
  port.start()
  return createORPCClient(new RPCLink({ port }))
}

it('answers calls and streams over a port', async () => {
  const { host, port } = setUp()
  const client = clientOf(port)
  expect((await client.state.get()).info.dockId).toBe(hereId)
  const events = await client.state.watch()
  expect((await events.next()).value).toMatchObject({ type: 'snapshot' })
  expect(host.watchers).toBe(1)
})

it('ends what a port was watching when the port closes', async () => {
  const { host, port } = setUp()
  const events = await clientOf(port).state.watch()
  await events.next()
  port.close()
  await expect.poll(() => host.watchers).toBe(0)
})

it.each([['garbage'], ['{"i":1,"p":{}}'], [{ i: '1', p: { u: '/state/get' } }], [42]])(
  'closes a port that sends %j',
  async (message) => {
    const { port } = setUp()
    const closed = once(port, 'close')
    port.postMessage(message)
    await closed
  },
)
