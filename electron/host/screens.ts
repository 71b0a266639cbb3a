/**
 * Screens of guests as byte streams (RFB): of a guest here from QEMU's socket, of one on another dock through a
 * channel. Promises that a ticket opens one screen once, within 30 s.
 */
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import { guestStateWord } from '../../shared/words.ts'
import type { DockNet } from '../docks/dock-net.ts'
import { pipeDuplex } from '../docks/pipe.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import type { Guests } from './guests/guests.ts'

const ticketLifeMs = 30_000
const screenHeader = z.strictObject({ guestId: z.uuid() })

interface Ticket {
  guestId: string
  dockId: string
  expiresAtMs: number
}

export class Screens {
  readonly #guests: Guests
  readonly #net: DockNet
  readonly #clock: Clock
  readonly #random: Random
  readonly #tickets = new Map<string, Ticket>()

  constructor(guests: Guests, net: DockNet, clock: Clock, random: Random) {
    this.#guests = guests
    this.#net = net
    this.#clock = clock
    this.#random = random
    net.handleStream('screen', async (_from, header) => {
      const parsed = screenHeader.safeParse(header)
      if (!parsed.success) throw fail('dock.bad_message')
      const screen = await this.#local(parsed.data.guestId)
      return (stream) => void pipeDuplex(screen, stream).catch(() => undefined)
    })
  }

  /** A ticket for the screen of a guest. @throws guest.not_found, guest.no_screen */
  open(dockId: string, guestId: string): string {
    if (dockId === this.#net.id) this.#assertScreen(guestId)
    const now = this.#clock.monotonicMs()
    for (const [id, ticket] of this.#tickets) if (ticket.expiresAtMs < now) this.#tickets.delete(id)
    const id = this.#random.bytes(24).toString('base64url')
    this.#tickets.set(id, { guestId, dockId, expiresAtMs: now + ticketLifeMs })
    return id
  }

  /** @throws host.bad_input for an unknown ticket, guest.no_screen, dock.unreachable */
  async connect(id: string): Promise<Duplex> {
    const ticket = this.#tickets.get(id)
    this.#tickets.delete(id)
    if (ticket === undefined || ticket.expiresAtMs < this.#clock.monotonicMs()) {
      throw fail('host.bad_input', { why: 'this ticket for a screen is not valid (any more)' })
    }
    if (ticket.dockId === this.#net.id) return await this.#local(ticket.guestId)
    return await this.#net.openStream(ticket.dockId, 'screen', { guestId: ticket.guestId })
  }

  #assertScreen(guestId: string): string {
    const guest = this.#guests.get(guestId)
    if (guest.process === null)
      throw fail('guest.no_screen', { name: guest.name, state: guestStateWord(guest.state) })
    return guest.process.sockets.vnc
  }

  async #local(guestId: string): Promise<Duplex> {
    const socket = connect({ path: this.#assertScreen(guestId) })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return socket
  }
}
