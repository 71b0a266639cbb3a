/**
 * What two docks say to each other about a migration, parsed at this border. The order in which these messages
 * may come, and who remembers what, is told in PROTOCOL.md, "Docking". Relies on the shared models only.
 */
import { z } from 'zod'
import { errorShape } from '../../../shared/errors/wdock-error.ts'
import { dockId } from '../../../shared/models/dock.ts'
import { guest } from '../../../shared/models/guest.ts'
import { bootFile, guestDefinition, layerId } from '../../../shared/models/guest-definition.ts'
import { memoryTransfer, migrationCheck, migrationRecord } from '../../../shared/models/migration.ts'

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
/** `pages`: memory is going to come by the page codec. */
export const launchRequest = z.strictObject({ migrationId, pages: z.boolean() })
export const commitRequest = z.strictObject({ migrationId, run: z.boolean() })

/**
 * What a destination knows of a migration.
 * `unknown`: never heard of it, or let go of it for good: it will never run this guest because of it.
 */
export const destinationStage = z.enum(['unknown', 'preparing', 'switching', 'committed'])
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
    input: z.strictObject({ guestId: z.uuid(), transfer: memoryTransfer.optional() }),
    output: z.object({ operationId: z.uuid() }),
  },
  'docking.cancel': { input: z.strictObject({ operationId: z.uuid() }), output: z.object({}) },
  'docking.prepare': { input: prepareRequest, output: z.object({}) },
  /** The answer says whether pages can come: where the disk is short they cannot, and nothing is in front of QEMU. */
  'docking.launch': { input: launchRequest, output: z.object({ pages: z.boolean() }) },
  'docking.switching': { input: migrationRef, output: z.object({}) },
  'docking.await-loaded': { input: migrationRef, output: z.object({}) },
  'docking.commit': { input: commitRequest, output: z.object({ ranAfterMs: z.number() }) },
  'docking.abort': { input: migrationRef, output: z.object({ stage: destinationStage }) },
  'docking.destination-stage': { input: migrationRef, output: z.object({ stage: destinationStage }) },
  /** How the newest moves from the asked dock to the asking one ended. */
  'docking.outcomes': { input: z.strictObject({}), output: z.array(migrationRecord).max(64) },
  'docking.source-stage': { input: migrationRef, output: z.object({ stage: sourceStage }) },
} as const satisfies Record<string, { input: z.ZodType; output: z.ZodType }>

export type PeerMethod = keyof typeof peerMethods
export type PeerInput<Method extends PeerMethod> = z.output<(typeof peerMethods)[Method]['input']>
export type PeerOutput<Method extends PeerMethod> = z.output<(typeof peerMethods)[Method]['output']>
