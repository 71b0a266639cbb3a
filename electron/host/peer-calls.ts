/**
 * Calls between docks, typed: what goes out and what comes in is parsed on this side of the border. Relies on
 * the control channel for identity: `from` is proven.
 */
import type { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import type { CallOptions, DockNet, From } from '../docks/dock-net.ts'
import { type PeerInput, type PeerMethod, type PeerOutput, peerMethods } from './docking/messages.ts'

/** What the host uses of the other docks once they are there; tests put a simulated network in its place. */
export type PeerNet = Pick<
  DockNet,
  | 'id'
  | 'name'
  | 'peers'
  | 'request'
  | 'handle'
  | 'emit'
  | 'onEvent'
  | 'onOnline'
  | 'onOffline'
  | 'openStream'
  | 'handleStream'
  | 'setHeartbeat'
>

export class PeerCalls<Net extends PeerNet = PeerNet> {
  readonly net: Net

  constructor(net: Net) {
    this.net = net
  }

  /** @throws what the other dock threw, dock.unreachable, dock.link_lost, dock.silent, dock.bad_message */
  async ask<Method extends PeerMethod>(
    dockId: string,
    method: Method,
    input: z.input<(typeof peerMethods)[Method]['input']>,
    options: CallOptions = {},
  ): Promise<PeerOutput<Method>> {
    const answer = await this.net.request(dockId, method, input, options)
    return parse(peerMethods[method].output, answer, method) as PeerOutput<Method>
  }

  /** Serves a method to paired docks. */
  serve<Method extends PeerMethod>(
    method: Method,
    handler: (from: From, input: PeerInput<Method>, signal: AbortSignal) => Promise<PeerOutput<Method>>,
  ): void {
    this.net.handle(method, async (from, params, signal) => {
      const input = parse(peerMethods[method].input, params, method) as PeerInput<Method>
      return await handler(from, input, signal)
    })
  }
}

function parse(schema: z.ZodType, value: unknown, method: string): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw fail('dock.bad_message', {}, { detail: `${method}: ${parsed.error.message}` })
}
