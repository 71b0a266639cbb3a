/** Text between a pair of comments in a Markdown page, kept up to date by a script. Pure. */

const opening = /<!-- bench:([a-z][a-z0-9-]*) -->/g

/** The names that are marked in a page, in order. */
export function namesIn(page: string): string[] {
  return [...page.matchAll(opening)].flatMap((match) => match[1] ?? [])
}

/** The page with `text` between the marks of `name`. @throws Error when there is no such pair of marks */
export function marked(page: string, name: string, text: string): string {
  const [start, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`]
  const from = page.indexOf(start)
  const to = page.indexOf(end, from)
  if (from < 0 || to < 0) throw new Error(`${start} and ${end} do not both stand in the page`)
  return `${page.slice(0, from + start.length)}\n\n${text.trim()}\n\n${page.slice(to)}`
}
