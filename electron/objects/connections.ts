/**
 * Connections to stores: kept open between calls and closed together. HTTPS goes through the proxy that the
 * environment names; plain HTTP only ever to this PC, whatever a name server says.
 */
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { Environment } from '../platform/paths.ts'
import { isLoopback } from './addresses.ts'

/** Far more than any caller has under way at once. */
const maxSockets = 64

export interface Connections {
  readonly http: HttpAgent
  readonly https: HttpsAgent
  close(): void
}

export function openConnections(env: Environment): Connections {
  const http = new HttpAgent({ keepAlive: true, maxSockets, lookup: lookUpHere })
  const https = new HttpsAgent({ keepAlive: true, maxSockets, proxyEnv: proxyOf(env) })
  return {
    http,
    https,
    close: () => {
      http.destroy()
      https.destroy()
    },
  }
}

function proxyOf(env: Environment): Record<string, string> {
  const names = ['HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy']
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
}

const lookUpHere: LookupFunction = (hostname, options, callback) => {
  if (!isLoopback(hostname)) {
    callback(new Error(`plain HTTP to ${hostname}`), '', 0)
  } else if (options.all) {
    callback(null, [{ address: '127.0.0.1', family: 4 }])
  } else {
    callback(null, '127.0.0.1', 4)
  }
}
