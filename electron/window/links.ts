/**
 * `wdock:` links from other programs: `wdock:history`, `wdock:guest/<dock>/<guest>`. Promises that a link can do
 * nothing but show a view that exists; everything else is ignored. A link never starts, moves or deletes.
 */

/** The scheme, as registered with the desktop. */
export const linkScheme = 'wdock'

const views: readonly RegExp[] = [
  /^$/,
  /^history$/,
  /^settings$/,
  /^new$/,
  /^guest\/[a-z2-7]{52}\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  /^(pair|migration)\/[A-Za-z0-9_-]{1,64}$/,
]

/** The page's route for a link, as `#/history`; null when the link names no view. */
export function routeOfLink(link: string): string | null {
  const found = /^wdock:(?:\/\/)?([^?#]{0,200})$/i.exec(link)
  const view = found?.[1]?.replace(/\/$/, '')
  if (view === undefined || !views.some((known) => known.test(view))) return null
  return `#/${view}`
}

/** The first link among the arguments of a command line; null when there is none. */
export function routeOfArguments(argv: readonly string[]): string | null {
  const link = argv.find((argument) => argument.toLowerCase().startsWith(`${linkScheme}:`))
  return link === undefined ? null : routeOfLink(link)
}
