/**
 * Frames of pairing, control and stream headers: `u32be length` and that many bytes of UTF-8 JSON holding an
 * object. Promises to check a length before taking memory for it. Relies on callers to check what is inside.
 */
import type { Readable } from 'node:stream'
import { fail, type WdockError } from '../../shared/errors/index.ts'

export const controlFrameLimitBytes = 1024 * 1024
export const headerFrameLimitBytes = 64 * 1024
export const pairingFrameLimitBytes = 8 * 1024

const prefixBytes = 4

/** @throws host.bad_input when the value is larger than `limitBytes` as JSON, or is no object */
export function encodeFrame(value: object, limitBytes: number): Buffer {
  const body = Buffer.from(JSON.stringify(value), 'utf8')
  if (body.length > limitBytes) {
    throw fail('host.bad_input', {
      why: `a message of ${body.length} bytes is over the limit of ${limitBytes}`,
    })
  }
  const frame = Buffer.allocUnsafe(prefixBytes + body.length)
  frame.writeUInt32BE(body.length)
  body.copy(frame, prefixBytes)
  return frame
}

/** Splits bytes into frames, however they are cut. */
export class FrameSplitter {
  readonly #limitBytes: number
  #chunks: Buffer[] = []
  #heldBytes = 0
  #wantedBytes: number | null = null

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** @returns the frames that `chunk` completes. @throws dock.bad_message */
  push(chunk: Buffer): unknown[] {
    this.#chunks.push(chunk)
    this.#heldBytes += chunk.length
    const frames: unknown[] = []
    for (;;) {
      if (this.#wantedBytes === null) {
        if (this.#heldBytes < prefixBytes) return frames
        this.#wantedBytes = checkedLength(this.#take(prefixBytes), this.#limitBytes)
      }
      if (this.#heldBytes < this.#wantedBytes) return frames
      frames.push(decodeBody(this.#take(this.#wantedBytes)))
      this.#wantedBytes = null
    }
  }

  #take(sizeBytes: number): Buffer {
    const held = this.#chunks.length === 1 && this.#chunks[0] ? this.#chunks[0] : Buffer.concat(this.#chunks)
    this.#chunks = held.length > sizeBytes ? [held.subarray(sizeBytes)] : []
    this.#heldBytes -= sizeBytes
    return held.subarray(0, sizeBytes)
  }
}

/**
 * Reads exactly one frame from a paused stream and leaves every byte after it in the stream.
 * @throws dock.bad_message, dock.silent after `timeoutMs`, dock.link_lost when the stream ends or fails
 */
export async function readFrame(
  stream: Readable,
  options: { limitBytes: number; timeoutMs: number; dock: string; signal?: AbortSignal | undefined },
): Promise<unknown> {
  const deadline = AbortSignal.timeout(options.timeoutMs)
  const signal = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline
  const failure = (): WdockError =>
    options.signal?.aborted ? fail('host.cancelled') : fail('dock.silent', { dock: options.dock })
  const prefix = await readExactly(stream, prefixBytes, signal, failure, options.dock)
  const length = checkedLength(prefix, options.limitBytes)
  return decodeBody(await readExactly(stream, length, signal, failure, options.dock))
}

function readExactly(
  stream: Readable,
  sizeBytes: number,
  signal: AbortSignal,
  onAbort: () => WdockError,
  dock: string,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      stream.off('readable', tryRead)
      stream.off('end', lost)
      stream.off('close', lost)
      stream.off('error', lost)
      signal.removeEventListener('abort', aborted)
      act()
    }
    const lost = (error?: unknown): void =>
      settle(() =>
        reject(fail('dock.link_lost', { dock }, error === undefined ? {} : { detail: String(error) })),
      )
    const aborted = (): void => settle(() => reject(onAbort()))
    const tryRead = (): void => {
      const bytes: unknown = stream.read(sizeBytes)
      if (!Buffer.isBuffer(bytes)) return
      // A stream that has ended hands out what is left, even when it is less.
      if (bytes.length < sizeBytes) lost()
      else settle(() => resolve(bytes))
    }
    stream.on('readable', tryRead)
    stream.on('end', lost)
    stream.on('close', lost)
    stream.on('error', lost)
    signal.addEventListener('abort', aborted)
    if (signal.aborted) aborted()
    else if (stream.destroyed || stream.readableEnded) lost()
    else tryRead()
  })
}

function checkedLength(prefix: Buffer, limitBytes: number): number {
  const length = prefix.readUInt32BE()
  if (length > limitBytes) throw fail('dock.bad_message', {}, { detail: `frame of ${length} bytes` })
  if (length < 2) throw fail('dock.bad_message', {}, { detail: 'empty frame' })
  return length
}

function decodeBody(body: Buffer): unknown {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (error) {
    throw fail('dock.bad_message', {}, { detail: 'frame is not JSON', cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fail('dock.bad_message', {}, { detail: 'frame is not an object' })
  }
  return value
}
