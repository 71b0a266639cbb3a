/**
 * What a PC keeps of an upload until its checkpoint is published: an interface, so that models need no disk. The state
 * is the journal: it is written before what it announces is done. Everything else is sealed, as it will lie in the
 * vault or under names of the spool.
 */
import { z } from 'zod'
import { checkpointId } from '../../shared/models/checkpoint.ts'
import { dockId } from '../../shared/models/dock.ts'
import type { PackContents } from '../pages/known-pages.ts'
import type { PackSink } from '../pages/pack-writer.ts'

export const spoolState = z.object({
  version: z.literal(1),
  /** Whose upload it is: another vault must not get it. */
  vaultId: z.string().regex(/^[0-9a-f]{32}$/),
  /** The upload and the checkpoint; a new one when a sweep has ended the upload. */
  id: checkpointId,
  byDockId: dockId,
  byDockName: z.string().max(256),
  guestId: z.uuid(),
  /**
   * `collecting`: the guest is being captured; lost when this program ends. `sending`: all is here. `publishing`: the
   * manifest may have been put. `abandoning`: it was given up, and what it announced is to be taken back.
   */
  phase: z.enum(['collecting', 'sending', 'publishing', 'abandoning']),
  /** Given up after the manifest may have been put: the name has to be closed. */
  fenceFirst: z.boolean(),
  /**
   * `never`: nothing was sent, no intent may be there. `kept`: the intent was written before anything that it relies
   * on was read. `lost`: a sweep has ended it; everything that it relies on is to be looked at again.
   */
  link: z.enum(['never', 'kept', 'lost']),
})
export type SpoolState = z.infer<typeof spoolState>

/** A pack that is whole and durable. */
export interface SpooledPack {
  id: string
  sizeBytes: number
}

/** The parts of a checkpoint besides its packs. */
export type SpoolPart = 'manifest' | 'summary'

export interface Spool extends PackSink {
  /** Null when there is none: the program ended before it was begun. @throws host.state_unreadable */
  readState(): Promise<SpoolState | null>
  /** Durable when it resolves; the old or the new one whatever happens. */
  writeState(state: SpoolState): Promise<void>
  /** The packs that were finished, in no order. */
  packs(): Promise<SpooledPack[]>
  readPack(id: string): Promise<Buffer>
  /** What lies in a pack. @throws vault.damaged_object */
  contents(id: string): Promise<PackContents>
  /** Durable when it resolves. */
  writePart(part: SpoolPart, payload: Buffer): Promise<void>
  /** @throws vault.damaged_object, also when there is none */
  readPart(part: SpoolPart): Promise<Buffer>
  /** The file of a pack, for a cache that wants it; null where there are no files. */
  packFile(id: string): string | null
  /** Removes all packs but these. */
  keepOnly(ids: ReadonlySet<string>): Promise<void>
  /** Removes everything but the state. */
  clear(): Promise<void>
  /** Removes everything, the state last. */
  remove(): Promise<void>
}
