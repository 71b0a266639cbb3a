/**
 * A client of the running host for programs: the command line, the demo, tests. Finds the host of this user
 * by `host.json`, proves that it lives and calls it over WebSocket. Promises that every failure is a coded
 * error, the loss of the host included.
 */
import { createORPCClient, ORPCError } from '@orpc/client'
import { RPCLink } from '@orpc/client/websocket'
import type { ContractRouterClient } from '@orpc/contract'
import { WebSocket } from 'ws'
import type { Contract } from '../../shared/contract.ts'
import { fail, type WdockError } from '../../shared/errors/index.ts'
import { choosePaths, type Environment } from '../platform/paths.ts'
import { fromCallFailure } from './call-errors.ts'
import { type HostFile, readHostFile } from './host-file.ts'

/** The contract as a caller sees it. Calls throw `WdockError`. */
export type HostClient = ContractRouterClient<Contract>

export interface HostConnection {
  client: HostClient
  /** Which host it is. */
  host: HostFile
  /** Resolves when the connection has ended, whoever ended it. */
  closed: Promise<void>
  close(): Promise<void>
}

const connectTimeoutMs = 5000
const closeGraceMs = 1000

/** Connects to the host of these folders. @throws host.not_running, host.state_unreadable */
export async function connectToHost(env: Environment): Promise<HostConnection> {
  const host = await findHost(env)
  if (host === null) throw fail('host.not_running')
  return connectTo(host)
}

/** The running host of these folders, or null. @throws host.state_unreadable */
export function findHost(env: Environment): Promise<HostFile | null> {
  return readHostFile(choosePaths(env).runtime)
}

/** Connects to a host whose address is known. @throws host.not_running */
export async function connectTo(host: HostFile): Promise<HostConnection> {
  const address = new URL('rpc', host.url)
  address.protocol = 'ws:'
  const socket = new WebSocket(address, {
    headers: { authorization: `Bearer ${host.token}` },
    handshakeTimeout: connectTimeoutMs,
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
  })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await opened(socket)
  socket.on('error', () => socket.terminate())
  return {
    client: createHostClient(socket),
    host,
    closed,
    close: async () => {
      socket.close()
      const timer = setTimeout(() => socket.terminate(), closeGraceMs)
      await closed
      clearTimeout(timer)
    },
  }
}

async function opened(socket: WebSocket): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
  } catch (error) {
    throw fail('host.not_running', {}, { detail: String(error), cause: error })
  }
}

function createHostClient(socket: WebSocket): HostClient {
  const link = new RPCLink({
    websocket: new LinkSocket(socket),
    interceptors: [
      async ({ next, signal }) => {
        const coded = (error: unknown): WdockError => callFailure(error, socket, signal)
        try {
          const answer = await next()
          return isStream(answer) ? codedStream(answer, coded) : answer
        } catch (error) {
          throw coded(error)
        }
      },
    ],
  })
  return createORPCClient(link)
}

function callFailure(error: unknown, socket: WebSocket, signal: AbortSignal | undefined): WdockError {
  if (error instanceof ORPCError) return fromCallFailure(error)
  if (signal?.aborted === true) return fail('host.cancelled', {}, { cause: error })
  if (socket.readyState !== socket.OPEN) return fail('host.not_running', {}, { cause: error })
  return fromCallFailure(error)
}

function isStream(answer: unknown): answer is AsyncIterableIterator<unknown> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer
}

async function* codedStream(
  stream: AsyncIterableIterator<unknown>,
  coded: (error: unknown) => WdockError,
): AsyncGenerator<unknown, void, void> {
  try {
    yield* stream
  } catch (error) {
    throw coded(error)
  }
}

/** A `ws` socket in the shape of the browser's, which is what the link speaks to. */
class LinkSocket extends EventTarget {
  readonly #socket: WebSocket

  constructor(socket: WebSocket) {
    super()
    this.#socket = socket
    socket.on('open', () => this.dispatchEvent(new Event('open')))
    socket.on('close', () => this.dispatchEvent(new Event('close')))
    socket.on('message', (data: Buffer) => {
      this.dispatchEvent(new MessageEvent('message', { data: data.toString('utf8') }))
    })
  }

  get readyState(): WebSocket['readyState'] {
    return this.#socket.readyState
  }

  send(data: Parameters<WebSocket['send']>[0]): void {
    this.#socket.send(data)
  }
}
