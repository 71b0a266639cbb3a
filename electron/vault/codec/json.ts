/**
 * The JSON parts of objects, each with a `version`. Promises that what is returned fits its schema, that a version
 * of the future is told apart from damage, and that anything else fails with the error of the object.
 */
import { z } from 'zod'
import { fail, type WdockError } from '../../../shared/errors/index.ts'
import type { BadBytes, ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { limits } from './limits.ts'

/** What this program writes; it reads this and nothing later. */
export const formatVersion = 1

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** What every head has at least. */
export const versioned = z.object({ version: z.number().int().min(1) })

/** The error of an object that cannot be read for what is in it. @param name its name in the vault */
export function badObject(name: string): BadBytes {
  return (why) => fail('vault.damaged_object', { name }, { detail: why })
}

/** @throws what `bad` makes; vault.newer_object */
export function parseJson<Schema extends z.ZodType>(
  bytes: Uint8Array,
  schema: Schema,
  name: string,
  bad: BadBytes,
): z.output<Schema> {
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(bytes))
  } catch (error) {
    throw bad(String(error))
  }
  const version = versioned.safeParse(value)
  if (!version.success) throw bad('it has no version')
  if (version.data.version > formatVersion) throw newerObject(name, version.data.version)
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw bad(parsed.error.message)
  return parsed.data
}

function newerObject(name: string, version: number): WdockError {
  return fail('vault.newer_object', { name }, { detail: `version ${version}` })
}

/** An object that is JSON as a whole. */
export function encodeJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

/** `uv length ‖ UTF-8`, in front of tables. */
export function writeHead(writer: ByteWriter, head: unknown): void {
  const bytes = encodeJson(head)
  if (bytes.length > limits.headBytes) throw new RangeError(`a head of ${bytes.length} bytes`)
  writer.uv(bytes.length)
  writer.bytes(bytes)
}

/** @throws what `bad` makes; vault.newer_object */
export function readHead<Schema extends z.ZodType>(
  reader: ByteReader,
  schema: Schema,
  name: string,
  bad: BadBytes,
): z.output<Schema> {
  const length = reader.count(limits.headBytes, 1)
  return parseJson(reader.take(length), schema, name, bad)
}
