/**
 * What two docks say to each other about a migration, parsed at this border. The order in which these messages
 * may come, and who remembers what, is told in PROTOCOL.md, "Docking". Relies on the shared models only.
 */
import { z } from 'zod'
import { errorShape } from '../../../shared/errors/wdock-error.ts'
import { dockId } from '../../../shared/models/dock.ts'
import { guest, guestName } from '../../../shared/models/guest.ts'
import { bootFile, guestDefinition, layerId } from '../../../shared/models/guest-definition.ts'
import { memoryTransfer, migrationCheck, migrationRecord } from '../../../shared/models/migration.ts'
import { switchover } from '../../../shared/models/operation.ts'
import { warmth } from '../../../shared/models/warmth.ts'

export const migrationId = z.uuid()
const migrationRef = z.strictObject({ migrationId })

const layerNeed = z.strictObject({
  id: layerId,
  sizeBytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  virtualSizeBytes: z.number().int().nonnegative(),
})

const bootFileNeed = z.strictObject({ id: bootFile, sizeBytes: z.number().int().nonnegative() })

/** Everything a destination must know to say whether a guest can come, and then to receive it. */
export const guestOffer = z.strictObject({
  /** The version of how a definition becomes a machine: a running guest fits only into the same one. */
  machineLayout: z.number().int(),
  definition: guestDefinition,
  homeDockId: dockId,
  createdAtMs: z.number(),
  bootedAtMs: z.number().nullable(),
  layers: z.array(layerNeed).max(512),
  bootFiles: z.array(bootFileNeed).max(8),
  /** What the top layers take now; the destination needs about as much. */
  topBytes: z.number().nonnegative(),
})
export type GuestOffer = z.infer<typeof guestOffer>

export const checkAnswer = z.object({
  blockers: z.array(errorShape).max(64),
  warnings: z.array(errorShape).max(64),
  missingLayers: z.array(layerId).max(512),
  missingBootFiles: z.array(bootFile).max(8),
})
export type CheckAnswer = z.infer<typeof checkAnswer>

export const prepareRequest = z.strictObject({ migrationId, offer: guestOffer })
/** `pages`: memory is going to come by the page codec. `postCopy`: the guest comes before all of its memory. */
export const launchRequest = z.strictObject({
  migrationId,
  pages: z.boolean(),
  postCopy: z.boolean().optional(),
})
/** `fetches`: some of its memory may still be at the source. */
export const commitRequest = z.strictObject({
  migrationId,
  run: z.boolean(),
  fetches: z.boolean().optional(),
})
/**
 * `listening`: its QEMU waits for a new `memory` stream. `over`: it waits for nothing from the source any more, as it has
 * all of its memory (`whole`), was switched off meanwhile (`off`), or its QEMU died (`lost`).
 */
export const recoverAnswer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listening') }),
  z.object({ kind: z.literal('over'), how: z.enum(['whole', 'off', 'lost']) }),
])
export type RecoverAnswer = z.infer<typeof recoverAnswer>

/**
 * What a destination knows of a migration.
 * `unknown`: never heard of it, or let go of it for good: it will never run this guest because of it.
 * `fetching`: the guest is its own and still lacks memory that only the source has.
 */
export const destinationStage = z.enum(['unknown', 'preparing', 'switching', 'fetching', 'committed'])
export type DestinationStage = z.infer<typeof destinationStage>

/** What a source knows. `unknown`: it ended without a handover, the guest stayed. */
export const sourceStage = z.enum(['unknown', 'open', 'given-away'])
export type SourceStage = z.infer<typeof sourceStage>

export const streamHeader = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('memory'), migrationId }),
  z.strictObject({ kind: z.literal('disk'), migrationId, nodeName: z.string().regex(/^disk[0-7]$/) }),
  z.strictObject({ kind: z.literal('layer'), migrationId, layer: layerNeed }),
  z.strictObject({ kind: z.literal('boot-file'), migrationId, file: bootFileNeed }),
])
export type StreamHeader = z.infer<typeof streamHeader>

/** What a dock must know to keep a guest of another one ready. */
export const warmOffer = z.strictObject({
  warmId: z.uuid(),
  guestId: z.uuid(),
  guestName,
  memoryBytes: z.number().int().positive(),
  /** Of that, what the guest uses. */
  touchedBytes: z.number().int().nonnegative(),
  layers: z.array(layerNeed).max(512),
  bootFiles: z.array(bootFileNeed).max(8),
})
export type WarmOffer = z.infer<typeof warmOffer>

const warmRef = z.strictObject({ warmId: z.uuid() })

/** What brings a part of a guest in advance. Files are those of the offer. */
export const warmHeader = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('warm-memory'), warmId: z.uuid() }),
  z.strictObject({ kind: z.literal('warm-layer'), warmId: z.uuid(), id: layerId }),
  z.strictObject({ kind: z.literal('warm-boot-file'), warmId: z.uuid(), id: bootFile }),
])
export type WarmHeader = z.infer<typeof warmHeader>

/** Event `warm.changed`, to the dock that is kept ready: how far it is for guests of the sender; all of them. */
export const warmChangedEvent = z.object({ warmths: z.array(warmth).max(1000) })
/** Event `warm.forgotten`, from the dock that was kept ready: nothing is there of this guest any more. */
export const warmForgottenEvent = z.object({ guestId: z.uuid() })

/** Event `docking.failed`, destination to source: it can no longer receive. */
export const failedEvent = z.object({ migrationId, error: errorShape })
/** Event `docking.let-go`, source to destination: the commit need not be remembered any more. */
export const letGoEvent = z.object({ migrationId })

/**
 * The methods of the control channel. Input and output of each; both are parsed by whoever receives them.
 */
export const peerMethods = {
  'dock.describe': { input: z.strictObject({}), output: z.unknown() },
  'guests.list': { input: z.strictObject({}), output: z.array(guest).max(1000) },
  'guests.picture': {
    input: z.strictObject({ guestId: z.uuid(), sinceRevision: z.number().int().nullable() }),
    output: z.object({ revision: z.number().int(), pngBase64: z.string() }).nullable(),
  },
  /** Measures the link: the answer is as long as `padding`. */
  'link.probe': {
    input: z.strictObject({ padding: z.string().max(600_000) }),
    output: z.object({ received: z.number() }),
  },
  /** Asked of the dock where the guest is: can it come to the asking dock? */
  'docking.will-it-move': { input: z.strictObject({ guestId: z.uuid() }), output: migrationCheck },
  'docking.check': { input: guestOffer, output: checkAnswer },
  'docking.pull': {
    input: z.strictObject({
      guestId: z.uuid(),
      transfer: memoryTransfer.optional(),
      switchover: switchover.optional(),
    }),
    output: z.object({ operationId: z.uuid() }),
  },
  'docking.cancel': { input: z.strictObject({ operationId: z.uuid() }), output: z.object({}) },
  'docking.prepare': { input: prepareRequest, output: z.object({}) },
  /** The answer says whether pages can come: where the disk is short they cannot, and nothing is in front of QEMU. */
  'docking.launch': { input: launchRequest, output: z.object({ pages: z.boolean() }) },
  'docking.switching': { input: migrationRef, output: z.object({}) },
  'docking.await-loaded': { input: migrationRef, output: z.object({}) },
  'docking.commit': { input: commitRequest, output: z.object({ ranAfterMs: z.number() }) },
  /** The link broke while the rest of a guest's memory was on its way. */
  'docking.recover': { input: migrationRef, output: recoverAnswer },
  /** The source's QEMU has ended: what the destination lacks of a guest's memory is lost. */
  'docking.rest-lost': { input: migrationRef, output: z.object({ lost: z.boolean() }) },
  'docking.abort': { input: migrationRef, output: z.object({ stage: destinationStage }) },
  'docking.destination-stage': { input: migrationRef, output: z.object({ stage: destinationStage }) },
  /** How the newest moves from the asked dock to the asking one ended. */
  'docking.outcomes': { input: z.strictObject({}), output: z.array(migrationRecord).max(64) },
  /** Will the asked dock keep a guest ready? What it still received for another one of the asking dock ends. */
  'warm.prepare': {
    input: warmOffer,
    output: z.object({
      missingLayers: z.array(layerId).max(512),
      missingBootFiles: z.array(bootFile).max(8),
    }),
  },
  /** The files are there; memory comes next. */
  'warm.memory': { input: warmRef, output: z.object({}) },
  /** The guests that the asking dock keeps ready at the asked one: what it brought for others goes. */
  'warm.hold': { input: z.strictObject({ guestIds: z.array(z.uuid()).max(1000) }), output: z.object({}) },
  'docking.source-stage': { input: migrationRef, output: z.object({ stage: sourceStage }) },
} as const satisfies Record<string, { input: z.ZodType; output: z.ZodType }>

export type PeerMethod = keyof typeof peerMethods
export type PeerInput<Method extends PeerMethod> = z.output<(typeof peerMethods)[Method]['input']>
export type PeerOutput<Method extends PeerMethod> = z.output<(typeof peerMethods)[Method]['output']>
