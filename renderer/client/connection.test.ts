/** The connection's promises: a snapshot after every loss, growing pauses, calls that fail at once while away. */
import { describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import type { HostEvent } from '../../shared/models/host-state.ts'
import { hostState } from '../fixtures/things.ts'
import { backOffMs, createConnection, type OpenTransport, type Transport } from './connection.ts'
import { toErrorShape } from './errors.ts'
import type { LinkState } from './host-client.ts'

/** A transport whose host sends the given events in one watch and then ends it or breaks. */
function transportOf(
  watches: (() => AsyncGenerator<HostEvent>)[],
): Transport & { opened: number; closed: number } {
  const transport = {
    opened: 0,
    closed: 0,
    async open(): Promise<OpenTransport> {
      transport.opened += 1
      return {
        link: { call: async () => watches.shift()?.() ?? (await new Promise(() => undefined)) },
        closed: new Promise<void>(() => undefined),
        close: () => {
          transport.closed += 1
        },
      }
    },
  }
  return transport
}

async function* breaking(events: HostEvent[]): AsyncGenerator<HostEvent> {
  yield* events
  throw new Error('the socket broke')
}

async function* ending(events: HostEvent[]): AsyncGenerator<HostEvent> {
  yield* events
}

const snapshot: HostEvent = { type: 'snapshot', state: hostState({}) }

interface Seen {
  events: string[]
  links: LinkState['kind'][]
  reasons: string[]
  pauses: number[]
}

/** Runs a connection until `enough` pauses were made, then stops it. */
async function watchUntil(transport: Transport, enough: number): Promise<Seen> {
  const seen: Seen = { events: [], links: [], reasons: [], pauses: [] }
  await new Promise<void>((resolve) => {
    const connection = createConnection(transport, {
      sleep: async (ms) => {
        seen.pauses.push(ms)
        if (seen.pauses.length < enough) return
        stop()
        resolve()
      },
    })
    const stop = connection.start({
      onEvent: (event) => seen.events.push(event.type),
      onLink: (link) => {
        seen.links.push(link.kind)
        if (link.kind === 'away') seen.reasons.push(link.error.code)
      },
    })
  })
  return seen
}

describe('connection to the host', () => {
  it('watches again over a new transport after a break, and starts with a snapshot', async () => {
    const transport = transportOf([() => breaking([snapshot]), () => breaking([snapshot])])
    const seen = await watchUntil(transport, 2)
    expect(seen.events).toEqual(['snapshot', 'snapshot'])
    expect(seen.links).toEqual(['live', 'away', 'live', 'away'])
    expect(transport.opened).toBe(2)
    expect(transport.closed).toBe(2)
  })

  it('keeps the transport when only the watch ended, and shows no loss', async () => {
    const transport = transportOf([() => ending([snapshot]), () => ending([snapshot])])
    const seen = await watchUntil(transport, 2)
    expect(transport.opened).toBe(1)
    expect(seen.links).toEqual(['live', 'live'])
  })

  it('waits longer after every failure and starts small again after a success', async () => {
    const failing: Transport = { open: () => Promise.reject(new Error('nobody there')) }
    const seen = await watchUntil(failing, 7)
    expect(seen.pauses).toEqual([300, 600, 1200, 2400, 4800, 5000, 5000])
    expect(backOffMs(50)).toBe(5000)
  })

  it('tells a host that is silent from one that refuses this page, and asks both again', async () => {
    const silent = await watchUntil({ open: () => Promise.reject(new Error('nobody there')) }, 2)
    expect(silent.reasons).toEqual(['host.out_of_touch', 'host.out_of_touch'])
    const refusing = await watchUntil({ open: () => Promise.reject(fail('host.page_refused')) }, 2)
    expect(refusing.reasons).toEqual(['host.page_refused', 'host.page_refused'])
  })

  it('fails a call at once while the host is away, with a sentence to act on', async () => {
    const connection = createConnection({ open: () => Promise.reject(new Error('nobody there')) })
    const error = await connection.client.state.get().then(
      () => null,
      (thrown: unknown) => toErrorShape(thrown),
    )
    expect(error?.code).toBe('host.out_of_touch')
  })
})
