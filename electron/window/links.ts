/**
 * `wdock:` links from other programs: `wdock:moves`, `wdock:guest/<dock>/<guest>`, and `wdock:lend?…`, which leads to a
 * checkpoint that somebody lends. Promises that a link can do nothing but show a view that exists; everything
 * else is ignored. A link never starts, moves, restores or deletes.
 */

/** The scheme, as registered with the desktop. */
export const linkScheme = 'wdock'

const views: readonly RegExp[] = [
  /^$/,
  /^moves$/,
  /^history$/,
  /^vault$/,
  /^checkpoints(?:\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$/,
  /^settings$/,
  /^new$/,
  /^guest\/[a-z2-7]{52}\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  /^(pair|migration)\/[A-Za-z0-9_-]{1,64}$/,
]

/** As long as the contract takes one. */
const longestLentLink = 8192

/** The page's route for a link, as `#/moves`; null when the link names no view. What is lent is looked at by the page. */
export function routeOfLink(link: string): string | null {
  if (/^wdock:(?:\/\/)?lend[/?]/i.test(link) && link.length <= longestLentLink) {
    return `#/receive?link=${encodeURIComponent(link)}`
  }
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
