/**
 * What Electron's security checklist asks of every page, whoever made it: it stays on its own origin, opens no
 * window, embeds nothing, and gets no permission that the screen of a guest does not need. Denials are logged,
 * since in this app each of them is a bug or an attack.
 */
import type { App, Session, WebContents } from 'electron'
import type { Log } from '../platform/log.ts'
import { originOf } from './app-origin.ts'

/**
 * Full screen and its keyboard for a guest's screen, copying text by a click, and the local server on the
 * loopback interface: Chromium counts a WebSocket to 127.0.0.1 as one of these two names, by version.
 */
const grantedPermissions: ReadonlySet<string> = new Set([
  'fullscreen',
  'keyboardLock',
  'clipboard-sanitized-write',
  'local-network-access',
  'loopback-network',
])

export interface SecurityOptions {
  /** The origin of the app's pages; no other is ever shown. */
  pageOrigin: string
  /** Other origins the page may load from or connect to. */
  connectOrigins: readonly string[]
  log: Log
}

/** Guards all pages that are made from now on and the session they share. */
export function enforceSecurity(app: App, session: Session, options: SecurityOptions): void {
  app.on('web-contents-created', (_event, contents) => guardContents(contents, options))
  session.setPermissionRequestHandler((contents, permission, grant, details) => {
    const granted = mayUse(permission, originOf(details.requestingUrl), options.pageOrigin)
    if (!granted) options.log.warn('permission denied', { permission, page: contents.getURL() })
    grant(granted)
  })
  session.setPermissionCheckHandler((_contents, permission, requestingOrigin) =>
    mayUse(permission, originOf(requestingOrigin), options.pageOrigin),
  )
  session.webRequest.onBeforeRequest((details, answer) => {
    const allowed = mayLoad(details.url, options)
    if (!allowed) options.log.warn('request denied', { url: details.url })
    answer({ cancel: !allowed })
  })
}

export function mayUse(permission: string, requestingOrigin: string | null, pageOrigin: string): boolean {
  return requestingOrigin === pageOrigin && grantedPermissions.has(permission)
}

/** Pictures travel as `data:` and `blob:`; the developer tools are pages of their own. */
export function mayLoad(
  url: string,
  options: Pick<SecurityOptions, 'pageOrigin' | 'connectOrigins'>,
): boolean {
  if (/^(data|blob|devtools):/.test(url)) return true
  const origin = originOf(url)
  return origin !== null && [options.pageOrigin, ...options.connectOrigins].includes(origin)
}

function guardContents(contents: WebContents, options: SecurityOptions): void {
  const stay = (event: { preventDefault(): void; url: string }): void => {
    if (originOf(event.url) === options.pageOrigin) return
    event.preventDefault()
    options.log.warn('navigation denied', { url: event.url })
  }
  contents.on('will-frame-navigate', stay)
  contents.on('will-redirect', stay)
  contents.on('will-attach-webview', (event) => event.preventDefault())
  contents.setWindowOpenHandler(({ url }) => {
    options.log.warn('window denied', { url })
    return { action: 'deny' }
  })
}
