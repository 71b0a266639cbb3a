/**
 * A link between a dock and its store, or between two QEMUs, made of a TCP proxy on this PC: a rate and a delay for each
 * direction, shared by all connections. (The kernel's `netem` is not everywhere.) Promises the rate and at least the
 * delay, a round trip more for each new connection as its handshake would take, and that a connection has no more
 * under way than a window, so that what is urgent does not wait behind megabytes of what is not.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { Line } from './line.ts'

export interface LinkShape {
  bitsPerS: number
  roundTripMs: number
}

/** Ours to measure against: a home's line. */
export const homeLink: LinkShape = { bitsPerS: 70e6, roundTripMs: 30 }

/** What one connection has on its way at most; that of a line of 70 Mbit/s and 30 ms. */
const windowBytes = 256 * 1024
/** A packet train: connections take turns after so many bytes. */
const pieceBytes = 16 * 1024

export class Link {
  #shape: LinkShape
  readonly #up: Line
  readonly #down: Line
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #upBytes = 0
  #downBytes = 0

  private constructor(shape: LinkShape, targetPort: number) {
    this.#shape = shape
    this.#up = new Line(lineOf(shape))
    this.#down = new Line(lineOf(shape))
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (near) =>
      this.#join(near, targetPort),
    )
  }

  /** @param targetPort of this PC */
  static async open(shape: LinkShape, targetPort: number): Promise<Link> {
    const link = new Link(shape, targetPort)
    link.#server.listen(0, '127.0.0.1')
    await once(link.#server, 'listening')
    return link
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** What has entered it so far, from whoever connected and to them. */
  get bytes(): { up: number; down: number } {
    return { up: this.#upBytes, down: this.#downBytes }
  }

  reshape(shape: LinkShape): void {
    this.#shape = shape
    this.#up.reshape(lineOf(shape))
    this.#down.reshape(lineOf(shape))
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #join(near: Socket, targetPort: number): void {
    const far = connect({ host: '127.0.0.1', port: targetPort, noDelay: true, allowHalfOpen: true })
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.once('close', () => {
        this.#sockets.delete(socket)
        if (socket.destroyed && !socket.readableEnded) other.destroy()
      })
    }
    const handshake = wait(this.#shape.roundTripMs)
    void handshake.then(() => carry(near, far, this.#up, (bytes) => (this.#upBytes += bytes)))
    void carry(far, near, this.#down, (bytes) => (this.#downBytes += bytes))
  }
}

function lineOf({ bitsPerS, roundTripMs }: LinkShape) {
  return { bitsPerS, delayMs: roundTripMs / 2 }
}

/** Brings what one end sends to the other, in pieces, each at its time. Ends when either end does. */
async function carry(from: Socket, to: Socket, line: Line, count: (bytes: number) => void): Promise<void> {
  let underWay = 0
  let room = Promise.withResolvers<void>()
  let arrived: Promise<void> = Promise.resolve()
  const deliver = async (piece: Buffer, atMs: number, before: Promise<void>): Promise<void> => {
    await wait(Math.max(0, atMs - performance.now()))
    await before
    if (!to.destroyed && to.writable && !to.write(piece)) await Promise.race([once(to, 'drain'), closed(to)])
    underWay -= piece.length
    room.resolve()
    room = Promise.withResolvers()
  }
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        const piece = chunk.subarray(at, at + pieceBytes)
        while (underWay + piece.length > windowBytes) await room.promise
        underWay += piece.length
        count(piece.length)
        arrived = deliver(piece, line.send(performance.now(), piece.length), arrived)
        arrived.catch(() => {})
      }
    }
    await arrived
    to.end()
  } catch {
    to.destroy()
  }
}

async function closed(socket: Socket): Promise<void> {
  if (!socket.destroyed) await once(socket, 'close').catch(() => {})
}
