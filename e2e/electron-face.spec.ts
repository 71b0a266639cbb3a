/**
 * The Electron face: the compiled main and preload over a real host, in the stand-in. What must hold of its
 * window whoever writes the page, and what it does with the desktop.
 */
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Frame, Page } from '@playwright/test'
import { connectToHost } from '../electron/ipc/connect.ts'
import { openFace } from './face.ts'
import { expect, test } from './fixtures.ts'
import { openStandIn, type StandInApp, startStandIn } from './stand-in-client.ts'

function dockEnv(home: string, name: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    WDOCK_HOME: home,
    WDOCK_NAME: name,
    WDOCK_PORT: '0',
    WDOCK_DISCOVERY: 'off',
    WDOCK_BIND: '127.0.0.1',
  }
}

const appTest = test.extend<{ app: StandInApp; home: string }>({
  home: async ({ makeHome }, use) => use(await makeHome()),
  app: async ({ home }, use) => {
    const app = await openStandIn({ env: dockEnv(home, 'Window dock') })
    await use(app)
    await app.close()
  },
})

/** Resolves to the directive that forbade what `attempt` does; null when nothing was forbidden in a second. */
function violationOf(page: Page, attempt: string): Promise<string | null> {
  return page.evaluate(
    (source) =>
      new Promise<string | null>((done) => {
        document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective), {
          once: true,
        })
        setTimeout(() => done(null), 1000)
        // Chromium's debugging protocol may evaluate where the page's policy forbids it to the page.
        Reflect.apply(new Function(source), null, [])
      }),
    attempt,
  )
}

appTest.describe('the page', () => {
  appTest('shows the host over its message port, with no other connection', async ({ app }) => {
    const sockets: string[] = []
    app.page.on('websocket', (socket) => sockets.push(socket.url()))
    await app.page.reload()
    await expect(app.page.getByRole('region', { name: 'Window dock' })).toBeVisible()
    expect(sockets).toEqual([])
    const desk = await app.desk()
    expect(desk.preloadErrors).toEqual([])
    expect(desk.windows).toMatchObject([{ visible: true, url: 'app://wdock/#/' }])
  })

  appTest('has no Node, no preload globals and cannot change what was exposed', async ({ app }) => {
    const seen = await app.page.evaluate(() => {
      Reflect.set(Reflect.get(window, 'wdock'), 'face', 'forged')
      return {
        wdock: JSON.stringify(Reflect.get(window, 'wdock')),
        names: ['require', 'process', 'module', 'Buffer', 'wdockStandInCall', 'wdockStandInPort'].filter(
          (name) => Reflect.has(window, name),
        ),
      }
    })
    expect(seen).toEqual({ wdock: '{"face":"electron","platform":"linux"}', names: [] })
    expect(await isolatedWorldHas(app.page, 'wdockStandInPort')).toBe(true)
  })

  appTest(
    'reaches the local server, which carries the screens, under its own origin',
    async ({ app, home }) => {
      const { host, close } = await connectToHost({ WDOCK_HOME: home })
      await close()
      const address = `${host.url.replace('http:', 'ws:')}rpc?token=${host.token}`
      const outcome = await app.page.evaluate(
        (url) =>
          new Promise<string>((done) => {
            const socket = new WebSocket(url)
            socket.onopen = () => done('open')
            socket.onerror = () => done('refused')
          }),
        address,
      )
      expect(outcome).toBe('open')
    },
  )

  appTest('is sandboxed and isolated', async ({ app }) => {
    const desk = await app.desk()
    expect(desk.sandboxEnabled).toBe(true)
    expect(desk.windows[0]?.webPreferences).toMatchObject({
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      webSecurity: true,
      webviewTag: false,
      devTools: false,
    })
  })
})

/** Shows that the name is there, in a world that the page does not see. */
async function isolatedWorldHas(page: Page, name: string): Promise<boolean> {
  const cdp = await page.context().newCDPSession(page)
  const ids: number[] = []
  cdp.on('Runtime.executionContextCreated', ({ context }) => {
    if (context.name === 'Electron Isolated Context') ids.push(context.id)
  })
  await cdp.send('Runtime.enable')
  const [contextId] = ids
  if (contextId === undefined) return false
  const { result } = await cdp.send('Runtime.evaluate', { expression: `'${name}' in globalThis`, contextId })
  await cdp.detach()
  return result.value === true
}

appTest.describe('a page that was taken over', () => {
  appTest('cannot navigate away, not even to the local server', async ({ app, home }) => {
    const { host, close } = await connectToHost({ WDOCK_HOME: home })
    await close()
    for (const target of [
      'https://example.invalid/',
      host.url,
      'data:text/html,hello',
      'file:///etc/passwd',
    ]) {
      await app.page.evaluate((url) => window.location.assign(url), target).catch(() => {})
      await app.page.waitForTimeout(300)
      expect((await app.desk()).windows[0]?.url).toBe('app://wdock/#/')
    }
    await expect(app.page.getByRole('region', { name: 'Window dock' })).toBeVisible()
  })

  appTest('cannot open a window', async ({ app, home }) => {
    await app.page.evaluate(() => void window.open('app://wdock/', '_blank'))
    await app.page.evaluate(() => void window.open('https://example.invalid/', '_blank'))
    await expect.poll(() => app.page.context().pages().length).toBe(1)
    expect((await app.desk()).windows).toHaveLength(1)
    await expect.poll(() => readFileSync(join(home, 'data/host.log'), 'utf8')).toContain('window denied')
  })

  appTest('cannot run inline script or reach anything but the screens of guests', async ({ app, home }) => {
    const { host, close } = await connectToHost({ WDOCK_HOME: home })
    await close()
    const inline =
      "const s = document.createElement('script'); s.textContent = 'window.forged = 1'; document.head.append(s)"
    expect(await violationOf(app.page, inline)).toBe('script-src-elem')
    expect(await app.page.evaluate(() => Reflect.has(window, 'forged'))).toBe(false)
    expect(await violationOf(app.page, "fetch('https://example.invalid/').catch(() => {})")).toBe(
      'connect-src',
    )
    expect(await violationOf(app.page, "new WebSocket('ws://127.0.0.1:1/')")).toBe('connect-src')
    expect(await violationOf(app.page, `fetch('${host.url}').catch(() => {})`)).toBe('connect-src')
    expect(await violationOf(app.page, "new Image().src = 'https://example.invalid/x.png'")).toBe('img-src')
    const screen = host.url.replace('http:', 'ws:')
    expect(await violationOf(app.page, `new WebSocket('${screen}screen/none')`)).toBe(null)
  })

  appTest('gets no permission that it does not need', async ({ app }) => {
    const states = await app.page.evaluate(async () => {
      const names: PermissionName[] = ['geolocation', 'notifications', 'camera', 'microphone', 'midi']
      const found = await Promise.all(names.map((name) => navigator.permissions.query({ name })))
      return [...found.map((status) => status.state), await Notification.requestPermission()]
    })
    expect(states).toEqual(['denied', 'denied', 'denied', 'denied', 'denied', 'denied'])
  })

  appTest('gets no port for a frame inside it', async ({ app }) => {
    await recordFirstCall(app.page)
    expect(await answersToPort(app.page.mainFrame())).toBe(true)
    expect(await answersToPort(await addFrame(app.page))).toBe(false)
  })
})

/** Reloads the page and keeps its first call to the host, to be sent again. React's own messages are no text. */
async function recordFirstCall(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const send = MessagePort.prototype.postMessage
    MessagePort.prototype.postMessage = function record(this: MessagePort, message: unknown) {
      if (typeof message === 'string' && !Reflect.has(window, 'firstCall'))
        Reflect.set(window, 'firstCall', message)
      send.call(this, message)
    }
  })
  await page.reload()
  await page.waitForFunction(() => typeof Reflect.get(window, 'firstCall') === 'string')
}

/** Hands over a port as the page does, from the page itself or from a frame in it, and calls the host on it. */
function answersToPort(frame: Frame): Promise<boolean> {
  // The sender of a message is the window whose code posts it.
  return frame.evaluate(async () => {
    const channel = new MessageChannel()
    const answered = new Promise<boolean>((done) => {
      channel.port1.onmessage = () => done(true)
      setTimeout(() => done(false), 1000)
    })
    window.parent.postMessage({ type: 'wdock:port' }, window.parent.location.origin, [channel.port2])
    channel.port1.postMessage(Reflect.get(window.parent, 'firstCall'))
    return answered
  })
}

async function addFrame(page: Page): Promise<Frame> {
  await page.evaluate(() => void document.body.append(document.createElement('iframe')))
  const frame = page.frames().find((candidate) => candidate !== page.mainFrame())
  if (frame === undefined) throw new Error('the page has no frame')
  return frame
}

appTest.describe('the desktop', () => {
  appTest('has a tray icon that says what runs and leads to views', async ({ app }) => {
    await expect.poll(async () => (await app.desk()).tray?.toolTip).toBe('Wireless Dock+: no guests run here')
    await app.poke({ do: 'close-window' })
    expect((await app.desk()).windows).toMatchObject([{ visible: false }])
    await app.poke({ do: 'click-tray-menu', path: ['Settings'] })
    await expect(app.page).toHaveURL(/#\/settings$/)
    expect((await app.desk()).windows).toMatchObject([{ visible: true, focused: true }])
    await app.poke({ do: 'click-app-menu', path: ['Wireless Dock+', 'History'] })
    await expect(app.page).toHaveURL(/#\/history$/)
  })

  appTest(
    'tells of a pairing question while nobody looks, and a click leads to it',
    async ({ app, home, makeHome }) => {
      const laptop = await makeHome()
      const other = await openFace({ kind: 'browser', env: dockEnv(laptop, 'Laptop') })
      const here = await connectToHost({ WDOCK_HOME: home })
      try {
        await app.poke({ do: 'close-window' })
        const { info } = await here.client.state.get()
        const asker = await connectToHost({ WDOCK_HOME: laptop })
        const dock = await asker.client.docks.connect({ address: `127.0.0.1:${info.port}` })
        await asker.client.docks.startPairing({ dockId: dock.id })
        await asker.close()
        await expect
          .poll(async () => (await app.desk()).notifications)
          .toMatchObject([
            { title: 'Wireless Dock+ goes on' },
            { title: 'Laptop wants to pair', urgency: 'critical' },
          ])
        await app.poke({ do: 'click-notification', id: 2 })
        await expect(app.page).toHaveURL(/#\/pair\//)
        expect((await app.desk()).windows).toMatchObject([{ visible: true }])
      } finally {
        await here.close()
        await other.close()
      }
    },
  )

  appTest('opens known views by link in the running instance, and nothing else', async ({ app, home }) => {
    const env = dockEnv(home, 'Window dock')
    expect(await exitCode(env, 'wdock:history')).toBe(0)
    await expect(app.page).toHaveURL(/#\/history$/)
    expect(await exitCode(env, 'wdock:../../etc/passwd')).toBe(0)
    expect(await exitCode(env, 'wdock:guest/x/start')).toBe(0)
    await expect(app.page).toHaveURL(/#\/history$/)
  })
})

function exitCode(env: NodeJS.ProcessEnv, link: string): Promise<number | null> {
  return new Promise((done) => startStandIn({ env, argv: [link] }).once('exit', done))
}

/** Closes the window of an app that is to end by it. */
async function exitCodeByClosing(app: StandInApp): Promise<number | null> {
  const ended = once(app.process, 'exit')
  // Nobody is left to answer.
  void app.poke({ do: 'close-window' })
  await ended
  return await app.close()
}

test.describe('the life of the app', () => {
  test('quits in order and leaves nothing running', async ({ makeHome }) => {
    const home = await makeHome()
    const app = await openStandIn({ env: dockEnv(home, 'Window dock') })
    expect(await app.close()).toBe(0)
    expect(existsSync(join(home, 'run/host.json'))).toBe(false)
    expect(readdirSync(join(home, 'config/window'))).toEqual(['place.json'])
  })

  test('goes on behind its closed window and says so once; set to quit, it ends', async ({ makeHome }) => {
    const home = await makeHome()
    const app = await openStandIn({ env: dockEnv(home, 'Window dock') })
    await app.poke({ do: 'close-window' })
    await expect.poll(async () => (await app.desk()).notifications).toHaveLength(1)
    await app.poke({ do: 'click-notification', id: 1 })
    await expect(app.page).toHaveURL(/#\/settings$/)
    await app.poke({ do: 'close-window' })
    expect((await app.desk()).notifications).toHaveLength(1)
    await app.poke({ do: 'click-tray' })
    await app.page.getByRole('radio', { name: 'Quit' }).click()
    await expect(app.page.getByText('Saved.')).toBeVisible()
    expect(await exitCodeByClosing(app)).toBe(0)
    expect(existsSync(join(home, 'run/host.json'))).toBe(false)
  })

  test('shows the page of a host that runs already, and leaves it running when closed', async ({
    makeHome,
  }) => {
    const home = await makeHome()
    const env = dockEnv(home, 'Agent dock')
    const agent = await openFace({ kind: 'browser', env })
    try {
      const app = await openStandIn({ env })
      await expect(app.page.getByRole('region', { name: 'Agent dock' })).toBeVisible()
      expect(new URL(app.page.url()).hostname).toBe('127.0.0.1')
      expect(await app.page.evaluate(() => Reflect.has(window, 'wdock'))).toBe(false)
      expect(await exitCodeByClosing(app)).toBe(0)
      const { client, close } = await connectToHost({ WDOCK_HOME: home })
      expect((await client.state.get()).settings.dockName).toBe('Agent dock')
      await close()
    } finally {
      await agent.close()
    }
  })

  test('says when the host of another is gone, and makes room when it is started again', async ({
    makeHome,
  }) => {
    const env = dockEnv(await makeHome(), 'Agent dock')
    const agent = await openFace({ kind: 'browser', env })
    const app = await openStandIn({ env })
    await expect(app.page.getByRole('region', { name: 'Agent dock' })).toBeVisible()
    await agent.close()
    await expect(app.page.getByText('Lost touch with the Wireless Dock+ service')).toBeVisible()
    await expect(app.page.getByText('start Wireless Dock+ again and use its new window')).toBeVisible()
    const ended = once(app.process, 'exit')
    expect(await exitCode(env, 'wdock:history')).toBe(0)
    await ended
    expect(await app.close()).toBe(0)
    const next = await openStandIn({ env })
    await expect(next.page.getByRole('region', { name: 'Agent dock' })).toBeVisible()
    expect(await next.close()).toBe(0)
  })
})
