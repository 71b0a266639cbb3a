/**
 * The host as a window reaches it: started in this process, or, where another process already owns the data
 * folder, attached to over its local server. Promises the same surface for both, so that the window need not
 * know which.
 */

import { isCode } from '../shared/errors/index.ts'
import type { HostEvent } from '../shared/models/host-state.ts'
import { startHost } from './host/host.ts'
import { connectToHost } from './ipc/connect.ts'
import { startLocalServer } from './ipc/local-server.ts'
import { createPortServer, type PortLike } from './ipc/message-port.ts'
import { type Log, silentLog } from './platform/log.ts'
import type { Environment } from './platform/paths.ts'
import { sleepDelayMs } from './platform/sleep-watch.ts'
import { appOrigin, appUrl } from './window/app-origin.ts'

export interface HostLink {
  /** False when another process runs the host. */
  ownsHost: boolean
  /** The page, without a fragment, and its origin. */
  pageUrl: string
  pageOrigin: string
  /** The fragment with which the first page shows a route, as `#/history`; null stands for the desk. */
  fragmentOf(route: string | null): string
  /** Where the screens of guests are, `ws://127.0.0.1:<port>`. */
  screenOrigin: string
  servePort(port: PortLike): void
  watch(signal: AbortSignal): Promise<AsyncIterable<HostEvent>>
  log: Log
  /** True once another's host has ended or let go of us; ours lives as long as we do. */
  isLost(): boolean
  /** Makes the checkpoints that are wanted before the PC sleeps, in the time that a PC gives for that. */
  beforeSleep(): Promise<void>
  /** Stops the host if it is ours, after the checkpoints that are wanted then. Guests run on. */
  close(): Promise<void>
}

/** Sessions are given about 90 s to end at a logout. */
const quitCheckpointsMs = 60_000

export interface HostLinkOptions {
  env: Environment
  appVersion: string
  /** Where the demo guest was built; null where there is none. */
  demoGuestDir: string | null
  rendererDir: string
  /** A face asked the host to end. */
  onQuit(): void
}

/** @throws whatever the host throws at its start, except that another one is running */
export async function openHostLink(options: HostLinkOptions): Promise<HostLink> {
  try {
    return await startOwn(options)
  } catch (error) {
    if (!isCode(error, 'host.already_running')) throw error
    return attach(options.env)
  }
}

async function startOwn(options: HostLinkOptions): Promise<HostLink> {
  const host = await startHost({
    env: options.env,
    appVersion: options.appVersion,
    demoGuestDir: options.demoGuestDir,
  })
  const server = await startLocalServer({
    service: host.service,
    pageDir: options.rendererDir,
    runtimeDir: host.paths.runtime,
    extraOrigins: [appOrigin],
    log: host.log,
    onQuit: options.onQuit,
  }).catch(async (error: unknown) => {
    await host.stop()
    throw error
  })
  return {
    ownsHost: true,
    pageUrl: appUrl,
    pageOrigin: appOrigin,
    fragmentOf: (route) => route ?? '#/',
    screenOrigin: server.screenOrigin,
    servePort: createPortServer(server.router),
    watch: async (signal) => host.service.state.watch(undefined, { signal }),
    log: host.log,
    isLost: () => false,
    beforeSleep: () => host.beforeSleep(sleepDelayMs),
    close: async () => {
      await host.beforeStop(quitCheckpointsMs)
      await server.close()
      await host.stop()
    },
  }
}

async function attach(env: Environment): Promise<HostLink> {
  const { client, host, closed, close } = await connectToHost(env)
  let lost = false
  void closed.then(() => {
    lost = true
  })
  const { origin, host: address } = new URL(host.url)
  return {
    ownsHost: false,
    pageUrl: host.url,
    pageOrigin: origin,
    fragmentOf: (route) => `${route ?? '#/'}?token=${host.token}`,
    screenOrigin: `ws://${address}`,
    // The page of another host's server speaks WebSocket; no port of it is expected.
    servePort: (port) => port.close(),
    watch: (signal) => client.state.watch(undefined, { signal }),
    log: silentLog,
    isLost: () => lost,
    // The process that runs it sees to that.
    beforeSleep: async () => {},
    close,
  }
}
