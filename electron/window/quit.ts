/**
 * The end of the app: the window closes, then the host stops in order, then the process ends. A window that closes
 * by itself, rather than hide, begins it. Guests run on.
 */
import type { App } from 'electron'
import type { Log } from '../platform/log.ts'

export interface EndOptions {
  /** Lets the window close. */
  release(): void
  /** Stops everything that was started; awaited. */
  stop(): Promise<void>
  log: Log
}

export function endInOrder(app: App, options: EndOptions): void {
  let stopped = false
  let stopping = false
  app.on('window-all-closed', () => app.quit())
  app.on('before-quit', () => options.release())
  app.on('will-quit', (event) => {
    if (stopped) return
    event.preventDefault()
    if (stopping) return
    stopping = true
    options
      .stop()
      .catch((error: unknown) => options.log.error('not stopped in order', { error }))
      .finally(() => {
        stopped = true
        app.quit()
      })
  })
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => app.quit())
  process.on('uncaughtException', (error) => {
    options.log.error('unforeseen error', { error })
    options.log.flush().finally(() => app.exit(1))
  })
}
