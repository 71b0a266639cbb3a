/**
 * Every request of a window's page: the app's handlers see it first, and its protocol answers what is its own.
 * Navigations that the page starts can be prevented; popups never load.
 */
import type { BrowserContext, Frame, Page, Request as PageRequest, Route } from '@playwright/test'
import { isServedByApp, toApp } from './addresses.ts'
import { mayRequest, schemeHandler } from './session.ts'

export interface RequestOwner {
  page: Page
  /** True when the app itself asked for this address, so that the page is not asked. */
  isOwnLoad(url: string): boolean
  /** False when the app prevents it. */
  mayNavigate(url: string, isMainFrame: boolean): boolean
}

export async function routeRequests(
  context: BrowserContext,
  owners: ReadonlySet<RequestOwner>,
): Promise<void> {
  await context.route(
    () => true,
    async (route, request) => {
      const owner = ownerOf(request, owners)
      const refusal = owner === null ? 'blockedbyclient' : refusalOf(owner, request)
      if (refusal !== null) return route.abort(refusal)
      if (isServedByApp(request.url())) return answerFromApp(route, request)
      return route.continue()
    },
  )
}

function ownerOf(request: PageRequest, owners: ReadonlySet<RequestOwner>): RequestOwner | null {
  const frame = frameOf(request)
  return [...owners].find((owner) => owner.page === frame?.page()) ?? null
}

/** Null for the first request of a popup, which has no frame yet. */
function frameOf(request: PageRequest): Frame | null {
  try {
    return request.frame()
  } catch {
    return null
  }
}

function refusalOf(owner: RequestOwner, request: PageRequest): string | null {
  const url = toApp(request.url())
  if (request.isNavigationRequest() && !owner.isOwnLoad(url)) {
    if (!owner.mayNavigate(url, request.frame().parentFrame() === null)) return 'aborted'
  }
  const details = { url, method: request.method(), resourceType: request.resourceType() }
  return mayRequest(details) ? null : 'blockedbyclient'
}

async function answerFromApp(route: Route, request: PageRequest): Promise<void> {
  const url = toApp(request.url())
  const handler = schemeHandler('app')
  if (handler === undefined) return route.abort('addressunreachable')
  const response = await handler(new Request(url, { method: request.method() }))
  await route.fulfill({
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: Buffer.from(await response.arrayBuffer()),
  })
}
