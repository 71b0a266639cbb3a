/**
 * A socket that reads into buffers of ours. Node makes a new buffer for every read and leaves it to the garbage
 * collector, which at the rate of a migration takes more time than the reading. Node offers `onread` only to
 * sockets that it connects itself, while QEMU is one that we accept: so the handle changes hands here, and here
 * alone. Promises that the old socket no longer owns anything. Relies on the socket being paused since its start.
 */
import { type OnReadOpts, Socket } from 'node:net'

/** What Node keeps inside a socket and takes in its constructor; public in effect, not in its types. */
interface WithHandle {
  _handle: unknown
}

/**
 * @param socket paused before it had read anything (`pauseOnConnect`, or `pause()` before it is connected)
 * @param onread where to read to, and what to do with what was read
 * @returns a half-open socket in place of `socket`, paused as well
 */
export function readIntoOwnBuffers(socket: Socket, onread: OnReadOpts): Socket {
  const old = socket as unknown as WithHandle
  const handle = old._handle
  old._handle = null
  return new Socket({ handle, onread, allowHalfOpen: true, readable: true, writable: true } as object)
}
