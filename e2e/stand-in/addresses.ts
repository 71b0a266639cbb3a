/**
 * Chromium gives a scheme it was not built with no origin, and there is no switch to add one. Inside the
 * stand-in `app://wdock` therefore lives at a reserved https origin; this file is the only one that knows.
 * Everything the app sees is written back: addresses of pages and requests here, the `Origin` header where a
 * page's WebSocket enters this process.
 */
import { IncomingMessage, Server } from 'node:http'

const appOrigin = 'app://wdock'
const reservedOrigin = 'https://wdock.invalid'

/** From the app's words to Chromium's. */
export function toChromium(address: string): string {
  return swapOrigin(address, appOrigin, reservedOrigin)
}

/** From Chromium's words to the app's. */
export function toApp(address: string): string {
  return swapOrigin(address, reservedOrigin, appOrigin)
}

export function isServedByApp(chromiumAddress: string): boolean {
  return toApp(chromiumAddress).startsWith(appOrigin)
}

function swapOrigin(address: string, from: string, to: string): string {
  if (address === from) return to
  return address.startsWith(`${from}/`) ? to + address.slice(from.length) : address
}

const emit: (this: Server, name: string, ...values: unknown[]) => boolean = Server.prototype.emit
Object.assign(Server.prototype, {
  emit(this: Server, name: string, ...values: unknown[]): boolean {
    const [request] = values
    if ((name === 'upgrade' || name === 'request') && request instanceof IncomingMessage) {
      const { origin } = request.headers
      if (origin !== undefined) request.headers.origin = toApp(origin)
    }
    return emit.call(this, name, ...values)
  },
})
