/**
 * A list of packs, of a sweep that means to free them (`sweeps/`) or is freeing them (`doomed/`): `uv count ‖ ids` of
 * those to be removed, the same of those whose names are to be closed.
 */

import { type BadBytes, ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { idBytes } from '../names.ts'
import { badObject } from './json.ts'
import { limits } from './limits.ts'

export interface Proposal {
  /** Ids of packs that nobody is going to put again: their owner had all of them confirmed. */
  remove: readonly string[]
  /** Ids of packs whose owner may still try to put them: an empty object stays in their place. */
  close: readonly string[]
}

/** The payload of `sweeps/<id>` and `doomed/<id>`, before it is sealed. */
export function encodeProposal({ remove, close }: Proposal): Buffer {
  const writer = new ByteWriter(32 + (remove.length + close.length) * idBytes)
  for (const ids of [remove, close]) {
    writer.uv(ids.length)
    for (const id of ids) writer.bytes(Buffer.from(id, 'hex'))
  }
  return writer.finish()
}

/** @throws vault.damaged_object */
export function decodeProposal(name: string, payload: Buffer): Proposal {
  const bad = badObject(name)
  const reader = new ByteReader(payload, bad)
  const proposal = { remove: readIds(reader, bad), close: readIds(reader, bad) }
  reader.end()
  return proposal
}

function readIds(reader: ByteReader, bad: BadBytes): string[] {
  const count = reader.count(limits.packs, idBytes)
  const ids: string[] = []
  for (let index = 0; index < count; index += 1) ids.push(reader.take(idBytes).toString('hex'))
  if (new Set(ids).size !== ids.length) throw bad('a pack is listed twice')
  return ids
}
