/**
 * The only raw IPC of the app: a page hands over one end of a message channel, and the contract is served on
 * it. Promises that nobody but the top frame of one of our windows, showing our own origin, is ever answered.
 */
import type { IpcMain, IpcMainEvent, MessagePortMain, WebContents } from 'electron'
import type { Log } from '../platform/log.ts'
import { appOrigin } from './app-origin.ts'

/** The message that carries the port; the preload script sends the same word. */
export const portChannel = 'wdock:port'

export interface PortOptions {
  /** True for the contents of a window that this app made for its page. */
  isOurs(contents: WebContents): boolean
  /** Serves the contract on the port until it closes, and starts the port. */
  serve(port: MessagePortMain): void
  log: Log
}

export function acceptPorts(ipcMain: IpcMain, options: PortOptions): void {
  ipcMain.on(portChannel, (event) => {
    const refusal = whyRefused(event, options)
    const [port] = event.ports
    if (refusal === null && port !== undefined) {
      options.serve(port)
      return
    }
    options.log.warn('port refused', { refusal: refusal ?? 'no-port' })
    for (const unwanted of event.ports) unwanted.close()
  })
}

type Refusal = 'foreign-contents' | 'no-frame' | 'not-top-frame' | 'foreign-origin' | 'not-one-port'

function whyRefused(event: IpcMainEvent, options: PortOptions): Refusal | null {
  if (!options.isOurs(event.sender)) return 'foreign-contents'
  const frame = event.senderFrame
  // Null once the frame has navigated away or died: then nobody knows who sent this.
  if (frame === null) return 'no-frame'
  if (frame.parent !== null) return 'not-top-frame'
  if (frame.origin !== appOrigin) return 'foreign-origin'
  return event.ports.length === 1 ? null : 'not-one-port'
}
