/** The one origin of the app's own pages in Electron. Everything that checks an origin checks this one. */

export const appScheme = 'app'
export const appHost = 'wdock'
/** A privileged standard scheme, so that pages have a real origin without a file system behind it. */
export const appOrigin = `${appScheme}://${appHost}`
export const appUrl = `${appOrigin}/`

/** `scheme://host[:port]` of an address, also for schemes of which `URL` knows no origin; null for what is no address. */
export function originOf(address: string): string | null {
  if (!URL.canParse(address)) return null
  const url = new URL(address)
  if (url.origin !== 'null') return url.origin
  return url.host === '' ? null : `${url.protocol}//${url.host}`
}
