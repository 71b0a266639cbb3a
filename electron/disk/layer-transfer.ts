/**
 * One layer over one stream, to be resumed where it was cut. The receiver speaks first: be64, how many bytes it
 * has already. The sender answers with the rest of the file and nothing else. The receiver checks size and
 * SHA-256 of the whole, takes the layer into its store, and ends with one byte: 1. Promises that both respect
 * back-pressure and leave the stream open for what comes next.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { fail, isCode } from '../../shared/errors/index.ts'
import type { LayerId } from '../../shared/models/guest-definition.ts'
import { fsFailure } from '../platform/atomic-file.ts'
import { ByteReader, writeAll } from './byte-stream.ts'
import { type ExpectedLayer, hashRange, type LayerInfo, type LayerStore } from './layers.ts'

export interface TransferProgress {
  doneBytes: number
  totalBytes: number
}

export interface TransferOptions {
  onProgress?: (progress: TransferProgress) => void
  signal?: AbortSignal
}

const accepted = 1
const chunkBytes = 256 * 1024

/**
 * Sends layer `id` of `store`. @returns once the receiver has verified and kept it.
 * @throws disk.layer_missing; disk.transfer_cut when the stream ends before, which a receiver that found the
 * layer damaged does as well; host.cancelled
 */
export async function sendLayer(
  stream: Duplex,
  store: LayerStore,
  id: LayerId,
  options: TransferOptions = {},
): Promise<void> {
  const { sizeBytes } = await store.info(id)
  const reader = new ByteReader(stream, options.signal)
  const file = await open(store.path(id), 'r')
  try {
    const offset = Number((await reader.readExactly(8)).readBigUInt64BE())
    if (offset > sizeBytes) throw fail('disk.layer_corrupt', { layer: id })
    for (let position = offset; position < sizeBytes; ) {
      // A buffer of its own for each piece: the stream keeps it until it is on its way.
      const wanted = Math.min(chunkBytes, sizeBytes - position)
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, position)
      if (bytesRead === 0) throw fail('disk.layer_missing', { layer: id })
      await writeAll(stream, buffer.subarray(0, bytesRead), options.signal)
      position += bytesRead
      options.onProgress?.({ doneBytes: position, totalBytes: sizeBytes })
    }
    const verdict = await reader.readExactly(1)
    if (verdict[0] !== accepted) throw fail('disk.layer_corrupt', { layer: id })
  } finally {
    reader.release()
    await file.close()
  }
}

/**
 * Receives layer `id` into `store`, going on where an earlier try was cut. A layer that is already there is
 * confirmed without a byte of it being sent.
 * @throws disk.layer_corrupt when the hash is wrong: what arrived is thrown away; disk.transfer_cut and
 * host.cancelled: what arrived is kept (`store.discardPartial` throws it away); host.disk_full: what arrived is
 * thrown away, because it is a part of what fills the disk
 */
export async function receiveLayer(
  stream: Duplex,
  store: LayerStore,
  id: LayerId,
  expected: ExpectedLayer,
  options: TransferOptions = {},
): Promise<LayerInfo> {
  return await store.exclusively(id, async () => {
    const present = await store.find(id)
    if (present) return await confirmPresent(stream, present, expected, options)
    const partial = await usablePartial(store, id, expected)
    const sha256 = await receiveRest(stream, partial, expected, options).catch(async (error) => {
      if (isCode(error, 'host.disk_full')) await store.discardPartial(id)
      throw error
    })
    if (sha256 !== expected.sha256) {
      await store.discardPartial(id)
      throw fail('disk.layer_corrupt', { layer: id })
    }
    const info = await store.addFromFile(partial.path, id, expected).catch(async (error) => {
      await store.discardPartial(id)
      throw error
    })
    await writeAll(stream, Buffer.of(accepted), options.signal)
    return info
  })
}

async function confirmPresent(
  stream: Duplex,
  present: LayerInfo,
  expected: ExpectedLayer,
  options: TransferOptions,
): Promise<LayerInfo> {
  if (present.sha256 !== expected.sha256) throw fail('disk.layer_corrupt', { layer: present.id })
  await writeAll(stream, offsetMessage(present.sizeBytes), options.signal)
  await writeAll(stream, Buffer.of(accepted), options.signal)
  options.onProgress?.({ doneBytes: present.sizeBytes, totalBytes: present.sizeBytes })
  return present
}

interface OpenPartial {
  path: string
  heldBytes: number
}

/** What is longer than the layer can be is of no use. */
async function usablePartial(store: LayerStore, id: LayerId, expected: ExpectedLayer): Promise<OpenPartial> {
  const partial = await store.openPartial(id)
  if (partial.heldBytes <= expected.sizeBytes) return partial
  await store.discardPartial(id)
  return { path: partial.path, heldBytes: 0 }
}

function offsetMessage(offset: number): Buffer {
  const message = Buffer.alloc(8)
  message.writeBigUInt64BE(BigInt(offset))
  return message
}

/** @returns the SHA-256 of the whole file. What was held before is hashed while the rest is on its way. */
async function receiveRest(
  stream: Duplex,
  partial: OpenPartial,
  expected: ExpectedLayer,
  options: TransferOptions,
): Promise<string> {
  const { heldBytes, path } = partial
  const hash = createHash('sha256')
  const reader = new ByteReader(stream, options.signal)
  const file = await open(path, 'a', 0o600).catch((error) => {
    throw fsFailure(error, path)
  })
  try {
    await writeAll(stream, offsetMessage(heldBytes), options.signal)
    if (heldBytes > 0) await hashRange(path, hash, 0, heldBytes, options.signal)
    await drainInto(reader, file, partial, expected, (chunk) => hash.update(chunk), options)
    await file.sync()
  } catch (error) {
    throw fsFailure(error, path)
  } finally {
    reader.release()
    await file.close()
  }
  return hash.digest('hex')
}

async function drainInto(
  reader: ByteReader,
  file: FileHandle,
  partial: OpenPartial,
  expected: ExpectedLayer,
  feed: (chunk: Buffer) => void,
  options: TransferOptions,
): Promise<void> {
  let doneBytes = partial.heldBytes
  while (doneBytes < expected.sizeBytes) {
    const chunk = await reader.readSome(expected.sizeBytes - doneBytes)
    await file.appendFile(chunk)
    feed(chunk)
    doneBytes += chunk.length
    options.onProgress?.({ doneBytes, totalBytes: expected.sizeBytes })
  }
}
