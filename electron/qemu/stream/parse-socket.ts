/**
 * A migration stream from a socket into a parser, through one buffer that is used again and again: a new one for every
 * read, as Node makes them, costs more than reading. Promises that nothing more is read while the sink has enough, and
 * that the socket is destroyed in the end. Relies on the socket being paused since it was accepted.
 */
import type { Socket } from 'node:net'
import { fail } from '../../../shared/errors/index.ts'
import { readIntoOwnBuffers } from '../../platform/own-buffers.ts'
import { type ParserOptions, StreamParser, type StreamSink } from './parser.ts'

/** What a unix socket holds under Linux's defaults comes in one read. */
const readBytes = 256 * 1024

/**
 * Reads a whole stream. @param accepted by a server with `pauseOnConnect`
 * @throws as `StreamParser.write`; host.cancelled; what the socket failed with
 */
export async function parseSocket(
  accepted: Socket,
  sink: StreamSink,
  { signal, ...options }: ParserOptions & { signal?: AbortSignal } = {},
): Promise<void> {
  const parser = new StreamParser(sink, options)
  const read = Promise.withResolvers<void>()
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  const take = (sizeBytes: number): boolean => {
    try {
      const wait = parser.write(buffer.subarray(0, sizeBytes))
      if (wait === undefined) return true
      wait.then(() => socket.resume(), read.reject)
    } catch (error) {
      read.reject(error)
    }
    return false
  }
  const socket = readIntoOwnBuffers(accepted, { buffer, callback: take })
  socket.once('end', read.resolve)
  socket.on('error', read.reject)
  socket.once('close', () => read.reject(new Error('the connection was closed')))
  const onAbort = (): void => read.reject(fail('host.cancelled'))
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  try {
    socket.resume()
    await read.promise
    await parser.end()
  } catch (error) {
    throw signal?.aborted ? fail('host.cancelled', {}, { cause: error }) : error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    socket.destroy()
  }
}
