/**
 * The one window. Promises a page without any privilege (sandboxed, isolated, no Node), shown when it has
 * something to show, where the person left it. Closing it hides it where the app is to stay, so that other docks
 * still reach this one.
 */
import type { BrowserWindow, Screen, WebContents, WebPreferences } from 'electron'
import type { Log } from '../platform/log.ts'
import { loadPlace, savePlace } from './window-state.ts'

export interface MainWindowOptions {
  browserWindow: typeof BrowserWindow
  screen: Screen
  /** The page, without a fragment. */
  pageUrl: string
  /** The fragment of the first page, as `#/history`. */
  firstFragment: string
  /** Null for a page that talks to a host by itself, as a browser does. */
  preloadPath: string | null
  placePath: string
  iconPath: string
  devTools: boolean
  /** Asked at each close: true where the app stays behind a hidden window. */
  staysBehind(): boolean
  /** The person has closed the window and the app stays. */
  onHidden(): void
  log: Log
}

export interface MainWindow {
  /** Brings it to the front; with a route, shows that view. */
  show(route: string | null): void
  isLookedAt(): boolean
  owns(contents: WebContents): boolean
  /** From now on closing is closing. */
  release(): void
}

export async function openMainWindow(options: MainWindowOptions): Promise<MainWindow> {
  const areas = options.screen.getAllDisplays().map((display) => display.workArea)
  const place = await loadPlace(options.placePath, areas)
  const window = new options.browserWindow({
    ...place.bounds,
    minWidth: 360,
    minHeight: 480,
    show: false,
    title: 'Wireless Dock+',
    icon: options.iconPath,
    autoHideMenuBar: true,
    webPreferences: webPreferences(options),
  })
  let released = false
  if (place.maximized) window.maximize()
  window.once('ready-to-show', () => window.show())
  window.on('close', (event) => {
    savePlace(options.placePath, { bounds: window.getNormalBounds(), maximized: window.isMaximized() }).catch(
      (error: unknown) => options.log.warn('window place not saved', { error }),
    )
    if (released || !options.staysBehind()) return
    event.preventDefault()
    window.hide()
    options.onHidden()
  })
  window.webContents.on('render-process-gone', (_event, details) => {
    options.log.error('page ended', { reason: details.reason })
    if (!released && details.reason !== 'clean-exit') window.webContents.reload()
  })
  const load = (fragment: string): void => {
    window.loadURL(`${options.pageUrl}${fragment}`).catch((error: unknown) => {
      options.log.error('page not loaded', { error })
    })
  }
  load(options.firstFragment)
  return {
    show: (route) => {
      if (route !== null) load(route)
      if (window.isMinimized()) window.restore()
      window.show()
      window.focus()
    },
    isLookedAt: () => window.isVisible() && window.isFocused(),
    owns: (contents) => contents === window.webContents,
    release: () => {
      released = true
    },
  }
}

export function webPreferences(options: Pick<MainWindowOptions, 'preloadPath' | 'devTools'>): WebPreferences {
  return {
    ...(options.preloadPath === null ? {} : { preload: options.preloadPath }),
    sandbox: true,
    contextIsolation: true,
    nodeIntegration: false,
    nodeIntegrationInWorker: false,
    nodeIntegrationInSubFrames: false,
    webSecurity: true,
    allowRunningInsecureContent: false,
    webviewTag: false,
    navigateOnDragDrop: false,
    spellcheck: false,
    devTools: options.devTools,
  }
}
