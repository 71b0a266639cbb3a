/**
 * A host without Electron, for as long as it is wanted: the composition root of `wdock agent`, of
 * `dist/headless.mjs` and of `npm start` where Electron is missing. Promises that SIGINT and SIGTERM end it in
 * order, that a closed terminal does not end it, that a closed window ends it only where the settings say so,
 * and that running guests go on whatever ends it.
 */
import { toWdockError } from '../shared/errors/index.ts'
import { hasDisplay, openWindow } from './browser/open-window.ts'
import type { Faults } from './host/docking/faults.ts'
import { type RunningHost, startHost } from './host/host.ts'
import { appVersion, findDemoGuestDir, findPageDir } from './installation.ts'
import { type LocalServer, startLocalServer } from './ipc/local-server.ts'

export interface AgentOptions {
  env: NodeJS.ProcessEnv
  /** The page in Chromium: not at all, in a window that stays when this process ends, or in one that ends with it. */
  window: 'none' | 'apart' | 'ours'
  /** Prints the ready line as JSON. */
  json: boolean
  /** For tests alone: where a move stops and waits. */
  faults?: Faults
}

const closedWords = [
  'The window is closed. Wireless Dock+ goes on, so that other PCs can still reach this one.',
  'Start it again to see its window; Ctrl-C ends it, and running guests go on.',
]

const quitWords = 'Finishing checkpoints and restores that would be lost. Ctrl-C again ends at once.'
const noteAfterMs = 500
/** Sessions are given about 90 s to end at a logout. */
const quitCheckpointsMs = 60_000
/** Shutdown steps that hang must not keep the process. */
const stopTimeoutMs = 10_000

/**
 * Runs until a signal, a face or the window ends it.
 * @returns the exit code
 * @throws what keeps a host from starting, as host.already_running
 */
export async function runAgent(options: AgentOptions): Promise<number> {
  const ending = Promise.withResolvers<number>()
  const release = endOnSignals((code) => ending.resolve(code))
  try {
    const { env } = options
    const host = await startHost({
      env,
      appVersion,
      demoGuestDir: findDemoGuestDir(env),
      faults: options.faults ?? null,
    })
    const disarm = endOnDefects(host, (code) => ending.resolve(code))
    const server = await serve(host, () => ending.resolve(0))
    announce(server, host, options)
    if (options.window !== 'none') await showWindow(server, host, options, () => ending.resolve(0))
    const code = await ending.promise
    await stopInOrder(server, host)
    disarm()
    return code
  } finally {
    release()
  }
}

async function serve(host: RunningHost, onQuit: () => void): Promise<LocalServer> {
  try {
    return await startLocalServer({
      service: host.service,
      pageDir: findPageDir(),
      runtimeDir: host.paths.runtime,
      log: host.log,
      onQuit,
    })
  } catch (error) {
    await host.stop()
    throw error
  }
}

function announce(server: LocalServer, host: RunningHost, options: AgentOptions): void {
  const { url, pageUrl, token } = server
  const ready = { ready: true, url, pageUrl, token, pid: process.pid, dataDir: host.paths.data }
  const lines = options.json
    ? [JSON.stringify(ready)]
    : ['Wireless Dock+ is running. Ctrl-C ends it; running guests go on.', `Its page: ${pageUrl}`]
  process.stdout.write(`${lines.join('\n')}\n`)
}

async function showWindow(
  server: LocalServer,
  host: RunningHost,
  options: AgentOptions,
  end: () => void,
): Promise<void> {
  if (!hasDisplay(options.env)) {
    process.stderr.write('There is no display here. Open the address above in a browser on this PC.\n')
    return
  }
  try {
    const window = await openWindow({
      url: server.pageUrl,
      profileRoot: host.paths.config,
      env: options.env,
      detached: options.window === 'apart',
    })
    if (options.window === 'ours') void window.closed.then(() => afterWindow(host, end))
  } catch (error) {
    const { message, fix } = toWdockError(error)
    process.stderr.write(`${message}\n${fix}\n`)
  }
}

/** Other PCs may want to move guests here: the host goes on without its window unless the person wants otherwise. */
async function afterWindow(host: RunningHost, end: () => void): Promise<void> {
  const { settings } = await host.service.state.get(undefined, { signal: new AbortController().signal })
  if (settings.whenClosed === 'quit') return end()
  process.stderr.write(`${closedWords.join('\n')}\n`)
}

async function stopInOrder(server: LocalServer, host: RunningHost): Promise<void> {
  const note = setTimeout(() => process.stderr.write(`${quitWords}\n`), noteAfterMs)
  await host.beforeStop(quitCheckpointsMs)
  clearTimeout(note)
  const timer = setTimeout(() => process.exit(1), stopTimeoutMs)
  await server.close()
  await host.stop()
  clearTimeout(timer)
}

/** SIGINT and SIGTERM end in order, asked twice at once. A closed terminal (SIGHUP) is no reason to end. */
function endOnSignals(end: (code: number) => void): () => void {
  let asked = false
  const onSignal = (): void => {
    if (asked) process.exit(130)
    asked = true
    end(0)
  }
  const ignore = (): void => {}
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', ignore)
  return () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', ignore)
}

/** A defect that nobody caught leaves the host in an unknown state: it is written down and the host ends. */
function endOnDefects(host: RunningHost, end: (code: number) => void): () => void {
  const onDefect = (error: unknown): void => {
    host.log.error('the host ends after a defect', { error })
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    end(1)
  }
  process.on('uncaughtException', onDefect)
  return () => process.off('uncaughtException', onDefect)
}
