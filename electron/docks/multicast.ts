/**
 * bonjour-service over a socket of ours. Promises that it hears only its own link, and that neither a port that
 * cannot be had nor a malformed packet ends the process: for the first the library, left to itself, throws out
 * of its socket's event; for the second nothing says that it never will. Relies on the few socket methods that
 * multicast-dns calls.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import { Bonjour, type ServiceConfig } from 'bonjour-service'
import { isOnLink, type UsableInterface } from './interfaces.ts'

const multicastAddress = '224.0.0.251'
const multicastPort = 5353
/** Looking through a packet takes time in the square of its records. */
const maxPacketBytes = 4096

/**
 * A responder and browser on an interface.
 * @returns null when the interface or the port does not allow it; `onTrouble` has been told why
 */
export async function openBonjour(
  on: UsableInterface,
  onTrouble: (error: unknown) => void,
): Promise<Bonjour | null> {
  try {
    const socket = new GuardedSocket(await multicastSocket(on.address), on, onTrouble)
    // These belong to multicast-dns below; the library passes them on, its types don't say so.
    const options: Partial<ServiceConfig> & MulticastDnsOptions = { socket, bind: false, multicast: false }
    return new Bonjour(options, onTrouble)
  } catch (error) {
    onTrouble(error)
    return null
  }
}

interface MulticastDnsOptions {
  socket: GuardedSocket
  bind: false
  multicast: false
}

/** What multicast-dns sees of the socket: packets it cannot throw out of, and no errors. */
class GuardedSocket extends EventEmitter {
  readonly #socket: Socket

  constructor(socket: Socket, on: UsableInterface, onTrouble: (error: unknown) => void) {
    super()
    this.#socket = socket
    socket.on('error', onTrouble)
    socket.on('message', (packet: Buffer, from: RemoteInfo) => {
      // Linux hands a socket what any socket of the PC has joined for; RFC 6762, section 11, wants on-link senders.
      if (packet.length > maxPacketBytes || !isOnLink(from.address, on)) return
      try {
        this.emit('message', packet, from)
      } catch (error) {
        onTrouble(error)
      }
    })
  }

  send(
    packet: Uint8Array,
    offset: number,
    sizeBytes: number,
    port: number,
    address: string,
    done: (error: Error | null) => void,
  ): void {
    this.#socket.send(packet, offset, sizeBytes, port, address, done)
  }

  close(done?: () => void): void {
    this.#socket.close(done)
  }
}

/** A socket that has joined the mDNS group on the interface with this address, and sends there. */
async function multicastSocket(address: string): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind(multicastPort, () => {
        socket.off('error', reject)
        resolve()
      })
    })
    socket.addMembership(multicastAddress, address)
    socket.setMulticastInterface(address)
    socket.setMulticastTTL(255)
    socket.setMulticastLoopback(true)
    return socket
  } catch (error) {
    socket.close()
    throw error
  }
}
