/**
 * The index of what an upload brought, and its summary. Promises names that depend on the upload alone, so that an
 * upload which goes on after a crash does not write its index twice. Relies on all packs being in the store: a pack that
 * the index names is never put again.
 */
import { createHash } from 'node:crypto'
import type { CallOptions } from '../objects/object-store.ts'
import type { PackContents } from '../pages/known-pages.ts'
import type { Manifest } from './codec/manifest.ts'
import { encodeIndex } from './codec/page-index-file.ts'
import { decodeSummary, encodeSummary } from './codec/summary.ts'
import { indexParts } from './index-parts.ts'
import { wholeBytesOf } from './manifest-sizes.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import type { Spool } from './spool.ts'

/** @returns what the upload adds to the vault besides its manifest, bytes */
export async function sendTables(
  vault: OpenVault,
  spool: Spool,
  uploadId: string,
  manifest: Manifest,
  options: CallOptions,
): Promise<number> {
  const own = new Map((await spool.packs()).map((pack) => [pack.id, pack.sizeBytes]))
  const packs = manifest.frames.packs.filter((pack) => own.has(pack))
  const contents: PackContents[] = []
  for (const pack of packs) contents.push(await spool.contents(pack))
  let addedBytes = await sendIndex(vault, uploadId, contents, options)
  for (const pack of packs) addedBytes += own.get(pack) ?? 0
  const { head, picture } = decodeSummary('spool/summary', await spool.readPart('summary'))
  const summary = { ...head, id: uploadId, addedBytes, wholeBytes: wholeBytesOf(manifest) }
  const payload = encodeSummary({ head: summary, picture })
  return addedBytes + (await vault.objects.write(prefixes.summaries + uploadId, payload, options))
}

/** @returns how many bytes the index has */
async function sendIndex(
  vault: OpenVault,
  uploadId: string,
  packs: readonly PackContents[],
  options: CallOptions,
): Promise<number> {
  let sentBytes = 0
  let number = 0
  for (const part of indexParts(packs)) {
    const name = prefixes.index + partId(uploadId, number)
    number += 1
    const there = await vault.objects.sizeOf(name, options)
    sentBytes += there ?? (await vault.objects.write(name, encodeIndex(part), options))
  }
  return sentBytes
}

function partId(uploadId: string, number: number): string {
  if (number === 0) return uploadId
  return createHash('sha256').update(`${uploadId} ${number}`).digest('hex').slice(0, 32)
}
