/** `electron.session` and `electron.protocol`: what decides on requests and permissions of pages. */
import { loud } from './loud.ts'

type SchemeHandler = (request: Request) => Response | Promise<Response>
type PermissionRequestHandler = (
  contents: unknown,
  permission: string,
  grant: (granted: boolean) => void,
  details: { requestingUrl: string; isMainFrame: boolean },
) => void
type PermissionCheckHandler = (
  contents: unknown,
  permission: string,
  origin: string,
  details: object,
) => boolean
type BeforeRequest = (
  details: { url: string; method: string; resourceType: string },
  answer: (response: { cancel?: boolean }) => void,
) => void

const schemes = new Map<string, SchemeHandler>()
const standardSchemes = new Set<string>()
let onPermissionRequest: PermissionRequestHandler | null = null
let onPermissionCheck: PermissionCheckHandler | null = null
let beforeRequest: BeforeRequest | null = null

export const protocol = loud('protocol', {
  registerSchemesAsPrivileged: (list: { scheme: string; privileges?: { standard?: boolean } }[]): void => {
    for (const { scheme, privileges } of list) if (privileges?.standard) standardSchemes.add(scheme)
  },
  handle: (scheme: string, handler: SchemeHandler): void => {
    if (!standardSchemes.has(scheme)) throw new Error(`${scheme}: was not registered as a standard scheme`)
    if (schemes.has(scheme)) throw new Error(`${scheme}: is handled already`)
    schemes.set(scheme, handler)
  },
})

const defaultSession = loud('session', {
  setPermissionRequestHandler: (handler: PermissionRequestHandler | null): void => {
    onPermissionRequest = handler
  },
  setPermissionCheckHandler: (handler: PermissionCheckHandler | null): void => {
    onPermissionCheck = handler
  },
  webRequest: loud('webRequest', {
    onBeforeRequest: (handler: BeforeRequest | null): void => {
      beforeRequest = handler
    },
  }),
})

export const session = loud('session', { defaultSession })

export function schemeHandler(scheme: string): SchemeHandler | undefined {
  return schemes.get(scheme)
}

/** False when the app cancels the request. */
export function mayRequest(details: { url: string; method: string; resourceType: string }): boolean {
  let cancelled = false
  beforeRequest?.(details, (response) => {
    cancelled = response.cancel === true
  })
  return !cancelled
}

/** Electron's rule: the check first, then the request; without a handler everything is granted. */
export function mayUsePermission(contents: unknown, permission: string, pageUrl: string): boolean {
  const origin = new URL(pageUrl).protocol === 'app:' ? 'app://wdock/' : `${new URL(pageUrl).origin}/`
  if (onPermissionCheck?.(contents, permission, origin, { isMainFrame: true }) === true) return true
  if (onPermissionRequest === null) return onPermissionCheck === null
  let granted = false
  onPermissionRequest(
    contents,
    permission,
    (answer) => {
      granted = answer
    },
    { requestingUrl: pageUrl, isMainFrame: true },
  )
  return granted
}
