/**
 * The files guests boot from (kernel, initrd, installation image), kept once each under the SHA-256 of their
 * contents, because a guest takes them along when it moves. Promises that a file in the store is whole.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Duplex, Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fail } from '../../../shared/errors/index.ts'
import type { GuestBoot } from '../../../shared/models/guest-definition.ts'
import { ByteReader, writeAll } from '../../disk/byte-stream.ts'
import { fsFailure } from '../../platform/atomic-file.ts'
import type { Random } from '../../platform/random.ts'

/** What a receiver answers to a file that is whole. */
const accepted = 1

export class BootFileStore {
  readonly #folder: string
  readonly #random: Random

  constructor(dataDir: string, random: Random) {
    this.#folder = join(dataDir, 'boot')
    this.#random = random
  }

  path(id: string): string {
    return join(this.#folder, id)
  }

  /** The size of a file in bytes, or null when it is not here. */
  async size(id: string): Promise<number | null> {
    return (await stat(this.path(id)).catch(() => null))?.size ?? null
  }

  /** That nobody needs it is the caller's to know. @throws host.no_permission */
  async remove(id: string): Promise<void> {
    await rm(this.path(id), { force: true }).catch((error: unknown) => {
      throw fsFailure(error, this.#folder)
    })
  }

  /** Copies a file into the store. @returns its id. @throws guest.file_missing, host.disk_full, host.cancelled */
  async add(source: string, guestName: string, signal?: AbortSignal): Promise<string> {
    const found = await stat(source).catch(() => null)
    if (!found?.isFile()) throw fail('guest.file_missing', { path: source, name: guestName })
    return await this.#receive(createReadStream(source), null, signal)
  }

  /** Takes a file from another dock and confirms it. @throws disk.layer_corrupt when it is not what was announced */
  async receive(
    stream: Duplex,
    need: { id: string; sizeBytes: number },
    signal?: AbortSignal,
  ): Promise<void> {
    const reader = new ByteReader(stream, signal)
    try {
      await this.#receive(Readable.from(exactly(reader, need.sizeBytes)), need, signal)
      await writeAll(stream, Buffer.of(accepted), signal)
    } finally {
      reader.release()
    }
  }

  /** Sends a file of the store to another dock. @returns once it is confirmed there */
  async send(id: string, stream: Duplex, signal?: AbortSignal): Promise<void> {
    const reader = new ByteReader(stream, signal)
    try {
      for await (const chunk of createReadStream(this.path(id), { highWaterMark: 256 * 1024 })) {
        await writeAll(stream, chunk, signal)
      }
      await reader.readExactly(1)
    } finally {
      reader.release()
    }
  }

  async #receive(
    stream: Readable,
    need: { id: string; sizeBytes: number } | null,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const partial = join(this.#folder, `.${this.#random.hex(8)}.part`)
    const meter = new Meter(need?.sizeBytes ?? Number.POSITIVE_INFINITY)
    try {
      await pipeline(stream, meter, createWriteStream(partial, { mode: 0o400 }), signalOption(signal))
      const id = meter.digest()
      if (need !== null && need.id !== id) throw fail('disk.layer_corrupt', { layer: need.id })
      await sync(partial)
      await rename(partial, this.path(id))
      return id
    } catch (error) {
      await rm(partial, { force: true })
      if (signal?.aborted) throw signal.reason
      throw fsFailure(error, this.#folder)
    }
  }
}

/** The ids of the files a guest boots from. */
export function bootFileIds(boot: GuestBoot): string[] {
  switch (boot.kind) {
    case 'disk':
      return []
    case 'iso':
      return [boot.imageFile]
    case 'kernel':
      return boot.initrdFile === null ? [boot.kernelFile] : [boot.kernelFile, boot.initrdFile]
  }
}

async function* exactly(reader: ByteReader, sizeBytes: number): AsyncGenerator<Buffer> {
  for (let left = sizeBytes; left > 0; ) {
    const chunk = await reader.readSome(left)
    left -= chunk.length
    yield chunk
  }
}

function signalOption(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Hashes what passes and refuses more than was announced. */
class Meter extends Transform {
  readonly #hash = createHash('sha256')
  #leftBytes: number

  constructor(limitBytes: number) {
    super({ highWaterMark: 256 * 1024 })
    this.#leftBytes = limitBytes
  }

  override _transform(
    chunk: Buffer,
    _encoding: string,
    done: (error: Error | null, chunk?: Buffer) => void,
  ): void {
    this.#leftBytes -= chunk.length
    if (this.#leftBytes < 0) {
      done(fail('disk.layer_corrupt', { layer: 'file' }))
      return
    }
    this.#hash.update(chunk)
    done(null, chunk)
  }

  digest(): string {
    return this.#hash.digest('hex')
  }
}
