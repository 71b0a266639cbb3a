/**
 * Loaded into a host by `--import`, before its own program: on SIGUSR2 the host writes what it holds just then, after
 * a collection of garbage, to `holdings.json` in WDOCK_HOME. For tests only; a host that people run knows nothing of
 * it.
 */
import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export interface Holdings {
  /** Open file descriptors, sockets among them. */
  descriptors: number
  /** What the event loop waits for, by kind: timers, sockets, listening servers, children. */
  active: Record<string, number>
  /** After the collection: objects, and the buffers outside of their heap. */
  heapBytes: number
  bufferBytes: number
  residentBytes: number
  /** What Node warned of so far, such as too many listeners. */
  warnings: string[]
}

const path = join(process.env.WDOCK_HOME ?? '', 'holdings.json')
const warnings: string[] = []

setFlagsFromString('--expose-gc')
/** V8's own words for a collection that also gives back the pages it would rather keep. */
const collectAll = runInNewContext("() => gc({ type: 'major', flavor: 'last-resort' })") as () => void
process.on('warning', ({ name, message }) => warnings.push(`${name}: ${message}`))
process.on('SIGUSR2', () => {
  collectAll()
  // Beside it, then moved: a reader finds the whole of it or nothing.
  writeFileSync(`${path}.part`, JSON.stringify(look()))
  renameSync(`${path}.part`, path)
})

function look(): Holdings {
  const active: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) active[kind] = (active[kind] ?? 0) + 1
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage()
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    active,
    heapBytes: heapUsed,
    bufferBytes: arrayBuffers,
    residentBytes: rss,
    warnings,
  }
}
