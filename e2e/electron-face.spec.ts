/**
 * The Electron face: the compiled main and preload over a real host, in the stand-in. What must hold of its
 * window whoever writes the page, and what it does with the desktop.
 */
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Frame, Page } from '@playwright/test'
import { connectToHost } from '../electron/ipc/connect.ts'
import { type Face, openFace } from './face.ts'
import { test as base, expect } from './fixtures.ts'
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

interface Docks {
  home: string
  /** What ends after the test, whatever became of it, and before its folders go. */
  ends: (() => Promise<unknown>)[]
  /** Opens the app over the host in a folder. */
  openApp(home: string, name: string): Promise<StandInApp>
  /** Starts a host without a window of its own, and a page in a browser. */
  openAgent(home: string, name: string): Promise<Face>
  /** The app over `home`. */
  app: StandInApp
}

const test = base.extend<Docks>({
  home: async ({ makeHome }, use) => use(await makeHome()),
  ends: async ({ home: _goesAfterwards }, use) => {
    const ends: Docks['ends'] = []
    await use(ends)
    await Promise.allSettled(ends.map((end) => end()))
  },
  openApp: ({ ends }, use) =>
    use((home, name) => {
      const opening = openStandIn({ env: dockEnv(home, name) })
      ends.push(async () => (await opening).close())
      return opening
    }),
  openAgent: ({ ends }, use) =>
    use((home, name) => {
      const opening = openFace({ kind: 'browser', env: dockEnv(home, name) })
      ends.push(async () => (await opening).close())
      return opening
    }),
  app: async ({ openApp, home }, use) => use(await openApp(home, 'Window dock')),
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

test.describe('the page', () => {
  test('shows the host over its message port, with no other connection', async ({ app }) => {
    const sockets: string[] = []
    app.page.on('websocket', (socket) => sockets.push(socket.url()))
    await app.page.reload()
    await expect(app.page.getByRole('region', { name: 'Window dock' })).toBeVisible()
    expect(sockets).toEqual([])
    const desktop = await app.desktop()
    expect(desktop.preloadErrors).toEqual([])
    expect(desktop.windows).toMatchObject([{ visible: true, url: 'app://wdock/#/' }])
  })

  test('has no Node, no preload globals and cannot change what was exposed', async ({ app }) => {
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

  test('reaches the local server, which carries the screens, under its own origin', async ({ app, home }) => {
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
  })

  test('is sandboxed and isolated', async ({ app }) => {
    const desktop = await app.desktop()
    expect(desktop.sandboxEnabled).toBe(true)
    expect(desktop.windows[0]?.webPreferences).toMatchObject({
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

test.describe('a page that was taken over', () => {
  test('cannot navigate away, not even to the local server', async ({ app, home }) => {
    const { host, close } = await connectToHost({ WDOCK_HOME: home })
    await close()
    for (const target of ['https://example.invalid/', host.url]) {
      await goTo(app.page, target)
      await expect.poll(() => hostLog(home)).toContain(`"navigation denied","url":"${target}"`)
    }
    // These Chromium itself denies to any page.
    for (const target of ['data:text/html,hello', 'file:///etc/passwd']) {
      const denied = app.page.waitForEvent('console', (message) => /^Not allowed to/.test(message.text()))
      await goTo(app.page, target)
      expect((await denied).text()).toContain(target)
    }
    expect((await app.desktop()).windows[0]?.url).toBe('app://wdock/#/')
    await expect(app.page.getByRole('region', { name: 'Window dock' })).toBeVisible()
  })

  test('cannot open a window', async ({ app, home }) => {
    const denials = (): number => hostLog(home).split('"window denied"').length - 1
    const own = await app.page.evaluate(() => window.location.href)
    for (const [before, target] of [own, 'https://example.invalid/'].entries()) {
      await app.page.evaluate((url) => void window.open(url, '_blank'), target)
      await expect.poll(denials).toBe(before + 1)
    }
    await expect.poll(() => app.page.context().pages().length).toBe(1)
    expect((await app.desktop()).windows).toHaveLength(1)
  })

  test('cannot run inline script or reach anything but the screens of guests', async ({ app, home }) => {
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

  test('gets no permission that it does not need', async ({ app }) => {
    const states = await app.page.evaluate(async () => {
      const names: PermissionName[] = ['geolocation', 'notifications', 'camera', 'microphone', 'midi']
      const found = await Promise.all(names.map((name) => navigator.permissions.query({ name })))
      return [...found.map((status) => status.state), await Notification.requestPermission()]
    })
    expect(states).toEqual(['denied', 'denied', 'denied', 'denied', 'denied', 'denied'])
  })

  test('gets no port for a frame inside it', async ({ app }) => {
    await recordFirstCall(app.page)
    expect(await answersToPort(app.page.mainFrame())).toBe(true)
    expect(await answersToPort(await addFrame(app.page))).toBe(false)
  })
})

/** As script of the page does; it may be stopped before it has answered. */
async function goTo(page: Page, url: string): Promise<void> {
  await page.evaluate((target) => window.location.assign(target), url).catch(() => {})
}

function hostLog(home: string): string {
  return readFileSync(join(home, 'data/host.log'), 'utf8')
}

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

test.describe('the desktop', () => {
  test('has a tray icon that says what runs and leads to views', async ({ app }) => {
    await expect
      .poll(async () => (await app.desktop()).tray?.toolTip)
      .toBe('Wireless Dock+: no guests run here')
    await app.poke({ do: 'close-window' })
    expect((await app.desktop()).windows).toMatchObject([{ visible: false }])
    await app.poke({ do: 'click-tray-menu', path: ['Settings'] })
    await expect(app.page).toHaveURL(/#\/settings$/)
    expect((await app.desktop()).windows).toMatchObject([{ visible: true, focused: true }])
    await app.poke({ do: 'click-app-menu', path: ['Wireless Dock+', 'Moves'] })
    await expect(app.page).toHaveURL(/#\/moves$/)
    await app.poke({ do: 'click-app-menu', path: ['Wireless Dock+', 'Checkpoints'] })
    await expect(app.page).toHaveURL(/#\/checkpoints$/)
  })

  test('tells of a pairing question while nobody looks, and a click leads to it', async ({
    app,
    home,
    makeHome,
    openAgent,
    ends,
  }) => {
    const laptop = await makeHome()
    await openAgent(laptop, 'Laptop')
    await app.poke({ do: 'close-window' })
    const here = await connectToHost({ WDOCK_HOME: home })
    ends.push(() => here.close())
    const asker = await connectToHost({ WDOCK_HOME: laptop })
    ends.push(() => asker.close())
    const { info } = await here.client.state.get()
    const dock = await asker.client.docks.connect({ address: `127.0.0.1:${info.port}` })
    await asker.client.docks.startPairing({ dockId: dock.id })
    await expect
      .poll(async () => (await app.desktop()).notifications)
      .toMatchObject([
        { title: 'Wireless Dock+ goes on' },
        { title: 'Laptop wants to pair', urgency: 'critical' },
      ])
    await app.poke({ do: 'click-notification', id: 2 })
    await expect(app.page).toHaveURL(/#\/pair\//)
    expect((await app.desktop()).windows).toMatchObject([{ visible: true }])
  })

  test('opens known views by link in the running instance, and nothing else', async ({ app, home }) => {
    const env = dockEnv(home, 'Window dock')
    const shown: string[] = []
    app.page.on('framenavigated', (frame) => shown.push(new URL(frame.url()).hash))
    for (const link of ['wdock:history', 'wdock:../../etc/passwd', 'wdock:guest/x/start', 'wdock:settings'])
      expect(await exitCode(env, link)).toBe(0)
    await expect(app.page).toHaveURL(/#\/settings$/)
    expect(shown).toEqual(['#/history', '#/settings'])
  })
})

function exitCode(env: NodeJS.ProcessEnv, link: string): Promise<number | null> {
  return new Promise((done) => startStandIn({ env, argv: [link] }).once('exit', done))
}

/** Closes the window of an app that is to end by it. */
async function exitCodeByClosing(app: StandInApp): Promise<number | null> {
  const ended = once(app.process, 'exit')
  // It may be gone before it answers.
  app.poke({ do: 'close-window' }).catch(() => {})
  await ended
  return await app.close()
}

test.describe('the life of the app', () => {
  test('quits in order and leaves nothing running', async ({ app, home }) => {
    expect(await app.close()).toBe(0)
    expect(existsSync(join(home, 'run/host.json'))).toBe(false)
    expect(readdirSync(join(home, 'config/window'))).toEqual(['place.json'])
  })

  test('goes on behind its closed window and says so once; set to quit, it ends', async ({ app, home }) => {
    await app.poke({ do: 'close-window' })
    await expect.poll(async () => (await app.desktop()).notifications).toHaveLength(1)
    await app.poke({ do: 'click-notification', id: 1 })
    await expect(app.page).toHaveURL(/#\/settings$/)
    await app.poke({ do: 'close-window' })
    await app.poke({ do: 'click-tray' })
    await app.page.getByRole('radio', { name: 'Quit' }).click()
    await expect(app.page.getByText('Saved.')).toBeVisible()
    expect((await app.desktop()).notifications).toHaveLength(1)
    expect(await exitCodeByClosing(app)).toBe(0)
    expect(existsSync(join(home, 'run/host.json'))).toBe(false)
  })

  test('shows the page of a host that runs already, and leaves it running when closed', async ({
    home,
    openAgent,
    openApp,
  }) => {
    await openAgent(home, 'Agent dock')
    const app = await openApp(home, 'Agent dock')
    await expect(app.page.getByRole('region', { name: 'Agent dock' })).toBeVisible()
    expect(new URL(app.page.url()).hostname).toBe('127.0.0.1')
    expect(await app.page.evaluate(() => Reflect.has(window, 'wdock'))).toBe(false)
    expect(await exitCodeByClosing(app)).toBe(0)
    const { client, close } = await connectToHost({ WDOCK_HOME: home })
    expect((await client.state.get()).settings.dockName).toBe('Agent dock')
    await close()
  })

  test('says when the host of another is gone, and makes room when it is started again', async ({
    home,
    openAgent,
    openApp,
  }) => {
    const agent = await openAgent(home, 'Agent dock')
    const app = await openApp(home, 'Agent dock')
    await expect(app.page.getByRole('region', { name: 'Agent dock' })).toBeVisible()
    await agent.close()
    await expect(app.page.getByText('Lost touch with the Wireless Dock+ service')).toBeVisible()
    await expect(app.page.getByText('start Wireless Dock+ again and use its new window')).toBeVisible()
    const ended = once(app.process, 'exit')
    expect(await exitCode(dockEnv(home, 'Agent dock'), 'wdock:history')).toBe(0)
    await ended
    expect(await app.close()).toBe(0)
    const next = await openApp(home, 'Agent dock')
    await expect(next.page.getByRole('region', { name: 'Agent dock' })).toBeVisible()
    expect(await next.close()).toBe(0)
  })
})
