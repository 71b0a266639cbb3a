/** `webContents`: navigation, the window-open handler, and the page behind them. */
import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Page } from '@playwright/test'
import { toApp, toChromium } from './addresses.ts'
import { theBrowser } from './chromium.ts'
import { record, tellTest } from './desktop-log.ts'
import { loud, preventable } from './loud.ts'
import { bridgePage } from './page-bridge.ts'
import { applyPermissions } from './permissions.ts'
import { type RequestOwner, routeRequests } from './requests.ts'

type OpenHandler = (details: { url: string; frameName: string; disposition: string }) => { action: string }

const sentEvents = new Set([
  'will-navigate',
  'will-frame-navigate',
  'did-finish-load',
  'render-process-gone',
  'newListener',
])
const owners = new Set<RequestOwner>()
let routed: Promise<void> | null = null

export class WebContentsStandIn extends EventEmitter {
  readonly #page: Promise<Page>
  /** What the app holds: it compares the sender of a message with its window's contents. */
  readonly seen: WebContentsStandIn
  #url = ''
  #loading: string | null = null
  #openHandler: OpenHandler | null = null

  constructor(preloadPath: string | null) {
    super()
    this.on('newListener', (name) => {
      if (!sentEvents.has(String(name))) record.unsentEvents.push(String(name))
    })
    this.seen = loud('webContents', this)
    this.#page = this.#open(preloadPath === null ? null : readFileSync(preloadPath, 'utf8'))
  }

  getURL(): string {
    return this.#url
  }

  setWindowOpenHandler(handler: OpenHandler): void {
    this.#openHandler = handler
  }

  reload(): void {
    void this.loadURL(this.#url)
  }

  /** Rejects like Electron's when the page cannot be loaded. */
  async loadURL(url: string): Promise<void> {
    const page = await this.#page
    this.#loading = url
    await page.goto(toChromium(url))
    this.#loading = null
    this.#url = url
    this.emit('did-finish-load', {})
  }

  async focus(): Promise<void> {
    await (await this.#page).bringToFront()
  }

  async close(): Promise<void> {
    const page = await this.#page
    for (const owner of owners) if (owner.page === page) owners.delete(owner)
    await page.close()
  }

  async #open(preload: string | null): Promise<Page> {
    const { context, cdpUrl } = await theBrowser()
    routed ??= routeRequests(context, owners)
    await routed
    const page = context.pages().find((blank) => blank.url() === 'about:blank') ?? (await context.newPage())
    owners.add({
      page,
      isOwnLoad: (url) => this.#loading !== null && bare(url) === bare(this.#loading),
      mayNavigate: (url, isMainFrame) => this.#mayNavigate(url, isMainFrame),
    })
    const cdp = await bridgePage(page, this.seen, preload)
    page.on('popup', (popup) => void this.#popup(popup))
    page.on('crash', () => this.emit('render-process-gone', {}, { reason: 'crashed', exitCode: 1 }))
    page.on('framenavigated', (frame) => {
      if (frame === page.mainFrame()) this.#url = toApp(frame.url())
    })
    page.once('request', (request) => {
      const origin = new URL(request.url()).origin
      void applyPermissions(cdp, this.seen, toApp(request.url()), origin)
    })
    tellTest({ kind: 'page', cdpUrl })
    return page
  }

  #mayNavigate(url: string, isMainFrame: boolean): boolean {
    const event = preventable({ url, isMainFrame, isSameDocument: false })
    if (isMainFrame) this.emit('will-navigate', event, url)
    this.emit('will-frame-navigate', event)
    return !event.defaultPrevented
  }

  /** Its requests were refused already: a popup is no window of the app. */
  async #popup(popup: Page): Promise<void> {
    const details = { url: toApp(popup.url()), frameName: '', disposition: 'new-window' }
    const answer = this.#openHandler?.(details) ?? { action: 'allow' }
    if (answer.action !== 'deny') throw new Error('The stand-in for Electron opens no second window')
    await popup.close()
  }
}

/** Without the fragment. */
function bare(url: string): string {
  return url.replace(/#.*$/, '')
}
