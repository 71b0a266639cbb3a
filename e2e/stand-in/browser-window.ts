/** `BrowserWindow`: what the app does with its window, over a page that is really there. */
import { EventEmitter } from 'node:events'
import { app, type ClosableWindow, openWindows } from './app.ts'
import { onPoke, recordWindows } from './desktop-log.ts'
import { loud, preventable } from './loud.ts'
import { WebContentsStandIn } from './web-contents.ts'

interface WindowOptions {
  width?: number
  height?: number
  x?: number
  y?: number
  show?: boolean
  webPreferences?: Record<string, unknown>
}

class BrowserWindowStandIn extends EventEmitter implements ClosableWindow {
  readonly webContents: WebContentsStandIn
  readonly options: WindowOptions
  visible: boolean
  focused = false
  maximized = false

  constructor(options: WindowOptions = {}) {
    super()
    this.options = options
    this.visible = options.show ?? true
    const { preload } = options.webPreferences ?? {}
    this.webContents = new WebContentsStandIn(typeof preload === 'string' ? preload : null).seen
    this.webContents.once('did-finish-load', () => this.emit('ready-to-show', {}))
    openWindows.add(this)
    app.emit('web-contents-created', {}, this.webContents)
  }

  loadURL(url: string): Promise<void> {
    return this.webContents.loadURL(url)
  }

  show(): void {
    this.visible = true
    this.focus()
  }

  hide(): void {
    this.visible = false
    this.focused = false
  }

  focus(): void {
    this.focused = true
    void this.webContents.focus().catch(() => {})
  }

  maximize(): void {
    this.maximized = true
  }

  restore(): void {
    this.visible = true
  }

  isVisible(): boolean {
    return this.visible
  }

  isFocused(): boolean {
    return this.focused
  }

  isMaximized(): boolean {
    return this.maximized
  }

  isMinimized(): boolean {
    return false
  }

  getNormalBounds(): { x: number; y: number; width: number; height: number } {
    const { x = 40, y = 40, width = 800, height = 600 } = this.options
    return { x, y, width, height }
  }

  /** @returns false when the app kept it open */
  close(): boolean {
    const event = preventable({})
    this.emit('close', event)
    if (event.defaultPrevented) return false
    openWindows.delete(this)
    void this.webContents.close().catch(() => {})
    this.emit('closed')
    if (openWindows.size === 0) app.emit('window-all-closed')
    return true
  }
}

const windows = (): BrowserWindowStandIn[] =>
  [...openWindows].filter((window) => window instanceof BrowserWindowStandIn)

onPoke('close-window', () => {
  for (const window of windows()) window.close()
})
recordWindows(() =>
  windows().map((window) => ({
    visible: window.visible,
    focused: window.focused,
    url: window.webContents.getURL(),
    webPreferences: window.options.webPreferences ?? {},
  })),
)

export const BrowserWindow = loud('BrowserWindow', BrowserWindowStandIn)
