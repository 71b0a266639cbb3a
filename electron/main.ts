/**
 * The composition root of the Electron face. Promises the order in which things start, and that quitting ends
 * the host in order while guests run on. Where another host already owns the data folder (an agent, a second
 * user interface) its page is shown instead of starting a second one.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  app,
  BrowserWindow,
  dialog,
  ipcMain,
  Menu,
  Notification,
  nativeImage,
  nativeTheme,
  powerMonitor,
  powerSaveBlocker,
  protocol,
  screen,
  session,
  Tray,
} from 'electron'
import { toWdockError } from '../shared/errors/index.ts'
import type { HostSettings } from '../shared/models/host-state.ts'
import { openHostLink } from './host-link.ts'
import { appVersion, findDemoGuestDir } from './installation.ts'
import { resolvePaths } from './platform/paths.ts'
import { registerAppScheme, serveApp } from './window/app-protocol.ts'
import { firstCloseNotice } from './window/first-close.ts'
import { followHost } from './window/host-follower.ts'
import { acceptPorts } from './window/ipc-port.ts'
import { linkScheme, routeOfArguments } from './window/links.ts'
import { type MainWindow, openMainWindow } from './window/main-window.ts'
import { installMenu } from './window/menu.ts'
import { notifyDesktop } from './window/notifications.ts'
import { followSleep, stayAwakeWhileMoving } from './window/power.ts'
import { endInOrder } from './window/quit.ts'
import { enforceSecurity } from './window/security.ts'
import { installTray } from './window/tray.ts'

const here = import.meta.dirname
const rendererDir = join(here, 'renderer')
const iconPath = join(here, '../assets/icons/256x256.png')
const trayIconPath = join(here, '../assets/icons/32x32.png')
const devTools = process.env.WDOCK_DEVTOOLS === '1'

/** What must be said before Electron is ready. @returns the folder of window state and Chromium's profile */
function prepare(): string {
  const windowDir = join(resolvePaths(process.env).config, 'window')
  mkdirSync(windowDir, { recursive: true, mode: 0o700 })
  app.setPath('userData', windowDir)
  app.enableSandbox()
  registerAppScheme(protocol)
  return windowDir
}

async function start(windowDir: string): Promise<void> {
  await app.whenReady()
  const link = await openHostLink({
    env: process.env,
    appVersion,
    demoGuestDir: findDemoGuestDir(process.env),
    rendererDir,
    onQuit: () => app.quit(),
  })
  const { log } = link
  let whenClosed: HostSettings['whenClosed'] = 'stay'
  const show = (route: string | null): void => window.show(route)
  const quit = (): void => app.quit()
  enforceSecurity(app, session.defaultSession, {
    pageOrigin: link.pageOrigin,
    connectOrigins: [link.screenOrigin],
    log,
  })
  serveApp(protocol, { rootDir: rendererDir, screenOrigin: link.screenOrigin })
  // Before the window, since its page asks at once; a port that comes too early would be lost.
  acceptPorts(ipcMain, { isOurs: (contents) => window.owns(contents), serve: link.servePort, log })
  const window: MainWindow = await openMainWindow({
    browserWindow: BrowserWindow,
    screen,
    pageUrl: link.pageUrl,
    firstFragment: link.fragmentOf(routeOfArguments(process.argv)),
    preloadPath: link.ownsHost ? join(here, 'preload.cjs') : null,
    placePath: join(windowDir, 'place.json'),
    iconPath,
    devTools,
    // Another's host goes on by itself: a window on it is a window and no more.
    staysBehind: () => link.ownsHost && whenClosed === 'stay',
    onHidden: firstCloseNotice(Notification, { toldPath: join(windowDir, 'told.json'), show, log }),
    log,
  })
  installMenu(Menu, { appName: 'Wireless Dock+', show, quit, devTools })
  const icon = nativeImage.createFromPath(trayIconPath)
  const trayListener = installTray({ tray: Tray, menu: Menu, icon, show, quit })
  followSleep(powerMonitor, link.beforeSleep, log)
  if (app.isPackaged) app.setAsDefaultProtocolClient(linkScheme)
  app.on('second-instance', (_event, argv) => (link.isLost() ? startAnew() : show(routeOfArguments(argv))))
  const following = new AbortController()
  const followed = followHost({
    watch: link.watch,
    listeners: [
      trayListener,
      notifyDesktop(Notification, { isLookedAt: window.isLookedAt, show }),
      stayAwakeWhileMoving(powerSaveBlocker),
      (state) => {
        nativeTheme.themeSource = state.settings.theme
        whenClosed = state.settings.whenClosed
      },
    ],
    log,
    signal: following.signal,
  })
  endInOrder(app, {
    release: window.release,
    stop: async () => {
      following.abort()
      await followed
      await link.close()
    },
    log,
  })
}

/** A window whose host is gone is of no use to a person who starts the app again: the next one finds or makes a host. */
function startAnew(): void {
  // Inside an AppImage the program lies in a folder that goes with this process.
  const { APPIMAGE } = process.env
  app.relaunch(APPIMAGE === undefined ? {} : { execPath: APPIMAGE })
  app.quit()
}

function giveUp(thrown: unknown): void {
  const error = toWdockError(thrown)
  dialog.showErrorBox(
    'Wireless Dock+ cannot start',
    `${error.message}\n${error.fix}\n\n${error.detail ?? ''}`,
  )
  app.exit(1)
}

try {
  const windowDir = prepare()
  // The other instance shows itself; its window is the one.
  if (app.requestSingleInstanceLock()) start(windowDir).catch(giveUp)
  else app.exit(0)
} catch (error) {
  giveUp(error)
}
