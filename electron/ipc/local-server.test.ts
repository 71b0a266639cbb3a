import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { fail, isCode } from '../../shared/errors/index.ts'
import { type Paths, resolvePaths } from '../platform/paths.ts'
import { connectToHost } from './connect.ts'
import { hostFilePath } from './host-file.ts'
import { type LocalServer, type LocalServerOptions, startLocalServer } from './local-server.ts'
import { FakeHost, fakeGuest, goodTicket, guestHereId, hereId } from './testing/fake-service.ts'

let root: string
let paths: Paths
let host: FakeHost
let server: LocalServer

const environment = () => ({ WDOCK_HOME: root })

async function start(options: Partial<LocalServerOptions> = {}): Promise<LocalServer> {
  return await startLocalServer({
    service: host.service(),
    pageDir: join(root, 'page'),
    runtimeDir: paths.runtime,
    extraOrigins: ['app://wdock'],
    ...options,
  })
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'wdock-ipc-'))
  mkdirSync(join(root, 'page', 'assets'), { recursive: true })
  paths = resolvePaths(environment())
  writeFileSync(join(root, 'page', 'index.html'), '<!doctype html><title>page</title>')
  writeFileSync(join(root, 'page', 'assets', 'app-1a2b.js'), 'export {}')
  writeFileSync(join(root, 'secret.txt'), 'secret')
  symlinkSync(join(root, 'secret.txt'), join(root, 'page', 'link.txt'))
  host = new FakeHost()
  server = await start()
})

afterEach(async () => {
  await server.close()
  for (const folder of [root, paths.runtime]) rmSync(folder, { recursive: true, force: true })
})

interface Answer {
  status: number
  headers: Record<string, unknown>
  text: string
}

/** A request whose target and headers are sent as they are. */
function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.url)
    const sent = request({ hostname, port, path, method, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    sent.on('error', reject).end()
  })
}

/** Opens a WebSocket. @returns the socket, or the HTTP status of the refusal */
async function knock(path: string, headers: Record<string, string> = {}): Promise<WebSocket | number> {
  const socket = new WebSocket(new URL(path, server.screenOrigin), ['binary'], { headers })
  onTestFinished(() => socket.terminate())
  socket.on('error', () => {})
  return await new Promise((resolve) => {
    socket.once('open', () => resolve(socket))
    socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
  })
}

describe('the page', () => {
  it('is served with its type and a policy that allows nothing foreign', async () => {
    const page = await get('/')
    expect(page.status).toBe(200)
    expect(page.text).toContain('<title>page</title>')
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
    const policy = String(page.headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).toContain(`connect-src 'self' ws://${new URL(server.url).host};`)
    expect(policy).not.toContain('unsafe')
  })

  it('lets browsers keep what is named by its content', async () => {
    const script = await get('/assets/app-1a2b.js')
    expect(script.headers['content-type']).toBe('text/javascript; charset=utf-8')
    expect(script.headers['cache-control']).toContain('immutable')
  })

  it.each([
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/assets/..%2f..%2fsecret.txt',
    '/..\\secret.txt',
    '/link.txt',
    '/assets',
    '/%00',
    '/%zz',
    '//etc/passwd',
    'http://127.0.0.1/index.html',
  ])('does not serve %s', async (path) => {
    const found = await get(path)
    expect(found.status).toBe(404)
    expect(found.text).not.toContain('secret\n')
  })

  it('is not served under another name, as after a DNS rebinding', async () => {
    expect((await get('/', { host: 'evil.example' })).status).toBe(421)
    expect((await get('/', { host: '127.0.0.1:1' })).status).toBe(421)
    expect((await get('/', { host: `localhost:${new URL(server.url).port}` })).status).toBe(200)
  })

  it('can only be read', async () => {
    expect((await get('/', {}, 'POST')).status).toBe(405)
  })
})

describe('the door for calls', () => {
  it('opens for the token, in the address or as a bearer', async () => {
    expect(await knock(`/rpc?token=${server.token}`)).toBeInstanceOf(WebSocket)
    expect(await knock('/rpc', { authorization: `Bearer ${server.token}` })).toBeInstanceOf(WebSocket)
  })

  it('stays closed without it, or with a wrong one', async () => {
    expect(await knock('/rpc')).toBe(401)
    expect(await knock(`/rpc?token=${server.token.slice(0, -1)}`)).toBe(401)
    expect(await knock('/rpc', { authorization: 'Bearer x' })).toBe(401)
  })

  it('stays closed for foreign origins and names, even with the token', async () => {
    const path = `/rpc?token=${server.token}`
    expect(await knock(path, { origin: 'http://evil.example' })).toBe(403)
    expect(await knock(path, { origin: 'null' })).toBe(403)
    expect(await knock(path, { host: 'evil.example', origin: 'http://evil.example' })).toBe(421)
  })

  it('opens for our own page and for the Electron window', async () => {
    const path = `/rpc?token=${server.token}`
    expect(await knock(path, { origin: new URL(server.url).origin })).toBeInstanceOf(WebSocket)
    expect(await knock(path, { origin: 'app://wdock' })).toBeInstanceOf(WebSocket)
  })

  it('leads nowhere else', async () => {
    expect(await knock(`/other?token=${server.token}`)).toBe(404)
  })

  it.each([
    ['garbage', 'garbage'],
    ['a number', '1'],
    ['a call without target', '{"i":1,"p":{}}'],
    ['bytes', Buffer.from([1, 2, 3])],
  ])('closes a connection that sends %s, and only that one', async (_name, message) => {
    const good = await connectToHost(environment())
    const bad = await knock(`/rpc?token=${server.token}`)
    if (!(bad instanceof WebSocket)) throw new Error('refused')
    bad.send(message)
    await once(bad, 'close')
    expect((await good.client.state.get()).info.dockId).toBe(hereId)
    await good.close()
  })

  it('closes a connection that sends a message too large', async () => {
    await server.close()
    server = await start({ limits: { messageBytes: 1000 } })
    const socket = await knock(`/rpc?token=${server.token}`)
    if (!(socket instanceof WebSocket)) throw new Error('refused')
    socket.send('x'.repeat(2000))
    const [code] = await once(socket, 'close')
    expect(code).toBe(1009)
  })

  it('takes only so many connections', async () => {
    await server.close()
    server = await start({ limits: { sockets: 2 } })
    const path = `/rpc?token=${server.token}`
    expect(await knock(path)).toBeInstanceOf(WebSocket)
    expect(await knock(path)).toBeInstanceOf(WebSocket)
    expect(await knock(path)).toBe(503)
  })

  it('drops a client that no longer answers', async () => {
    await server.close()
    server = await start({ limits: { silenceMs: 100 } })
    const socket = new WebSocket(`${server.screenOrigin}/rpc?token=${server.token}`, { autoPong: false })
    onTestFinished(() => socket.terminate())
    const [code] = await once(socket, 'close')
    expect(code).toBe(1006)
  })
})

describe('a client program', () => {
  it('finds the host by its file, which only the user can read', async () => {
    const file = hostFilePath(paths.runtime)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      version: 1,
      pid: process.pid,
      url: server.url,
    })
    const { client, close } = await connectToHost(environment())
    expect((await client.state.get()).settings.dockName).toBe('This PC')
    await close()
  })

  it('is told that no host runs when the file is gone, or its process', async () => {
    const file = hostFilePath(paths.runtime)
    const content = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...content, startTicks: content.startTicks + 1 }))
    await expect(connectToHost(environment())).rejects.toMatchObject({ code: 'host.not_running' })
    writeFileSync(file, JSON.stringify(content))
    await server.close()
    await expect(connectToHost(environment())).rejects.toMatchObject({ code: 'host.not_running' })
  })

  it('is told that the file is damaged', async () => {
    writeFileSync(hostFilePath(paths.runtime), '{')
    await expect(connectToHost(environment())).rejects.toMatchObject({ code: 'host.state_unreadable' })
  })

  it('gets coded errors back as they were thrown', async () => {
    host.on('guests.start', () => {
      throw fail('guest.running', { name: 'Debian' }, { detail: 'pid 7' })
    })
    const { client, close } = await connectToHost(environment())
    const error = await client.guests.start({ guestId: guestHereId }).catch((thrown: unknown) => thrown)
    expect(isCode(error, 'guest.running')).toBe(true)
    expect(error).toMatchObject({ message: 'Debian is still running.', detail: 'pid 7' })
    await close()
  })
})

describe('a watching program', () => {
  it('watches a snapshot and then each fact, and the host forgets it when it leaves', async () => {
    const { client, close } = await connectToHost(environment())
    const events = await client.state.watch()
    expect((await events.next()).value).toMatchObject({ type: 'snapshot' })
    host.emit({ type: 'guest.removed', guestId: guestHereId, dockId: hereId })
    expect((await events.next()).value).toMatchObject({ type: 'guest.removed' })
    expect(host.watchers).toBe(1)
    await close()
    await expect.poll(() => host.watchers).toBe(0)
  })

  it('is not kept waiting when the host ends during a call or a watch', async () => {
    host.on('guests.start', () => new Promise(() => {}))
    const { client } = await connectToHost(environment())
    const events = await client.state.watch()
    await events.next()
    const call = client.guests.start({ guestId: guestHereId })
    const refused = expect(call).rejects.toMatchObject({ code: 'host.not_running' })
    const ended = expect(events.next()).rejects.toMatchObject({ code: 'host.not_running' })
    await server.close()
    await refused
    await ended
  })

  it('that reads too slowly loses its stream, not the host its memory', async () => {
    await server.close()
    server = await start({ limits: { waitingEvents: 16 } })
    const { client, close } = await connectToHost(environment())
    const slow = await knock(`/rpc?token=${server.token}`)
    if (!(slow instanceof WebSocket)) throw new Error('refused')
    slow.send(JSON.stringify({ i: '1', p: { u: '/state/watch' } }))
    await expect.poll(() => host.watchers).toBe(1)
    slow.pause()
    const name = 'x'.repeat(100_000)
    for (let n = 0; n < 300 && host.watchers > 0; n += 1) {
      host.emit({ type: 'guest.changed', guest: fakeGuest(guestHereId, name, hereId, { kind: 'running' }) })
      await wait(1)
    }
    expect(host.watchers).toBe(0)
    expect((await client.state.get()).guests).toHaveLength(2)
    await close()
  })

  it('gets the answer to quit before the host goes', async () => {
    await server.close()
    let quits = 0
    server = await start({
      onQuit: () => {
        quits += 1
        void server.close()
      },
    })
    const { client, closed } = await connectToHost(environment())
    expect(await client.host.quit()).toEqual({})
    await closed
    expect(quits).toBe(1)
  })
})

describe('a screen', () => {
  it('carries bytes both ways and closes with either end', async () => {
    const socket = await knock(`/screen/${goodTicket}`)
    if (!(socket instanceof WebSocket)) throw new Error('refused')
    expect(socket.protocol).toBe('binary')
    socket.send(Buffer.from('RFB 003.008\n'))
    const [echo] = await once(socket, 'message')
    expect(String(echo)).toBe('RFB 003.008\n')
    host.screen?.destroy()
    await once(socket, 'close')
    const again = await knock(`/screen/${goodTicket}`)
    if (!(again instanceof WebSocket)) throw new Error('refused')
    again.terminate()
    await expect.poll(() => host.screen?.destroyed).toBe(true)
  })

  it('is not given for a ticket that is not good, nor to a foreign page', async () => {
    expect(await knock('/screen/ticket-that-nobody-knows')).toBe(403)
    expect(await knock(`/screen/${goodTicket}`, { origin: 'http://evil.example' })).toBe(403)
    expect(await knock('/screen/short')).toBe(404)
  })

  it('does not fill the memory when the page stops reading', async () => {
    const socket = await knock(`/screen/${goodTicket}`)
    if (!(socket instanceof WebSocket) || !host.screen) throw new Error('refused')
    socket.pause()
    let taken = 0
    while (host.screen.write(Buffer.alloc(65_536)) || taken < 2) taken += 1
    for (let n = 0; n < 400 && host.screen.writableLength < 1_000_000; n += 1) {
      host.screen.write(Buffer.alloc(65_536))
      await wait(1)
    }
    // What is written stays in the screen's own buffer, where its source sees that it must wait.
    expect(host.screen.writableLength).toBeGreaterThanOrEqual(1_000_000)
  })
})
