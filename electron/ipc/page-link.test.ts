/** The page's own way to the host, against the real local server: what it makes of a host that ended or came back. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { socketTransport } from '../../renderer/client/transports.ts'
import { type LocalServer, startLocalServer } from './local-server.ts'
import { FakeHost } from './testing/fake-service.ts'

let server: LocalServer
let again: LocalServer | null = null

const start = (port: number) =>
  startLocalServer({ service: new FakeHost().service(), pageDir: null, runtimeDir: null, port })
const portOf = ({ url }: LocalServer) => Number(new URL(url).port)

beforeEach(async () => {
  server = await start(0)
  // All of the page that the transport knows.
  vi.stubGlobal('window', { location: new URL(server.url) })
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await server.close()
  await again?.close()
  again = null
})

it('opens with the key, and tells when the host has ended', async () => {
  const { closed } = await socketTransport(server.token).open()
  await server.close()
  await closed
})

it('tells a host that is gone', async () => {
  await server.close()
  await expect(socketTransport(server.token).open()).rejects.toMatchObject({ code: 'host.out_of_touch' })
})

it('tells a host that was started anew at the same address, where the old key is worth nothing', async () => {
  await server.close()
  again = await start(portOf(server))
  await expect(socketTransport(server.token).open()).rejects.toMatchObject({ code: 'host.page_refused' })
  const { close } = await socketTransport(again.token).open()
  close()
})

it('tells a page that was opened without a key', async () => {
  await expect(socketTransport(null).open()).rejects.toMatchObject({ code: 'host.page_refused' })
})
