/**
 * What a guest is made of, as it is stored beside its disk and sent to another dock: everything QEMU's command
 * line is derived from, and nothing that differs between two PCs. Promises that a parsed definition has sane
 * sizes, pinned machine type, and names that are safe as file names. Relies on zod alone.
 */
import { z } from 'zod'

export const mebibyteBytes = 1024 * 1024
export const gibibyteBytes = 1024 * mebibyteBytes

/** True when `text` holds no control character (C0, DEL, C1), nor a line or paragraph separator. */
function hasNoControlCharacter(text: string): boolean {
  return !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text)
}

/** The name people give a guest: 1 to 64 characters, trimmed, no control characters. */
export const guestName = z
  .string()
  .trim()
  .min(1, 'a name has at least one character')
  .max(64, 'a name has at most 64 characters')
  .refine(hasNoControlCharacter, 'a name has no control characters')

/** The id of a disk layer: `l` and 32 random hexadecimal digits. */
export const layerId = z.string().regex(/^l[0-9a-f]{32}$/, 'a layer id is l and 32 hexadecimal digits')
export type LayerId = z.infer<typeof layerId>

export const accelerator = z.enum(['kvm', 'tcg'])

/** A pinned, versioned machine type: an alias such as `q35` would change with the QEMU version. */
export const machineType = z.string().regex(/^pc-q35-\d+\.\d+$/, 'a machine type is pinned, as pc-q35-7.2')

/** What follows `-cpu`: a model and its flags, as `Nehalem,-vme`. */
export const cpuModel = z
  .string()
  .max(512)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.-]*(?:,[+-]?[a-z0-9][a-z0-9_.-]*(?:=[A-Za-z0-9]+)?)*$/,
    'a CPU model is a name with optional flags',
  )

/** A memory size in bytes: 128 MiB to 1 TiB, whole MiB. */
export const memoryBytes = z
  .number()
  .int()
  .min(128 * mebibyteBytes)
  .max(1024 * gibibyteBytes)
  .multipleOf(mebibyteBytes)

/** A disk size in bytes: up to 64 TiB, whole sectors. */
export const virtualSizeBytes = z
  .number()
  .int()
  .min(512)
  .max(64 * 1024 * gibibyteBytes)
  .multipleOf(512)

export const guestDisk = z.strictObject({
  /** The block node QEMU knows this disk by, the same on every dock. */
  nodeName: z.string().regex(/^disk[0-7]$/),
  /** Immutable layers, bottom first; may be empty. */
  layers: z.array(layerId).max(64),
  /** The layer that is written to. */
  top: layerId,
  virtualSizeBytes,
})

/** A file the guest boots from, known on every dock by the SHA-256 of its contents; it moves with the guest. */
export const bootFile = z.string().regex(/^[0-9a-f]{64}$/, 'a boot file is named by its SHA-256')

/** Kernel command line: one line, no control characters; 2 KiB is Linux's own limit on x86. */
const kernelCommandLine = z.string().max(2048).refine(hasNoControlCharacter)

export const guestBoot = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('disk') }),
  z.strictObject({ kind: z.literal('iso'), imageFile: bootFile }),
  z.strictObject({
    kind: z.literal('kernel'),
    kernelFile: bootFile,
    initrdFile: bootFile.nullable(),
    commandLine: kernelCommandLine,
  }),
])
export type GuestBoot = z.infer<typeof guestBoot>

/** Locally administered unicast, lower case, as `52:54:00:12:34:56`. */
export const macAddress = z.string().regex(/^[0-9a-f][26ae](?::[0-9a-f]{2}){5}$/)

export const guestDefinition = z
  .strictObject({
    version: z.literal(1),
    id: z.uuid(),
    name: guestName,
    machine: machineType,
    cpuModel,
    /** The accelerator with which it was created or last cold-started. */
    accelerator,
    cores: z.number().int().min(1).max(64),
    /** Headroom: cannot be changed while the guest runs. */
    maxCores: z.number().int().min(1).max(64),
    memoryBytes,
    /** Headroom: cannot be changed while the guest runs. */
    maxMemoryBytes: memoryBytes,
    disks: z.array(guestDisk).max(8),
    boot: guestBoot,
    network: z.enum(['user', 'none']),
    macAddress,
    display: z.strictObject({ kind: z.literal('vnc') }),
    /** The demo guest: its second serial port is a socket on which it ticks. */
    witness: z.boolean(),
    /** A port for the agent that may run in the guest (qemu-ga); guests made before there was one are without. */
    agent: z.literal(true).optional(),
  })
  .refine((d) => d.cores <= d.maxCores, { path: ['cores'], message: 'cores exceed maxCores' })
  .refine((d) => d.memoryBytes <= d.maxMemoryBytes, {
    path: ['memoryBytes'],
    message: 'memoryBytes exceed maxMemoryBytes',
  })
  .refine((d) => new Set(d.disks.map((disk) => disk.nodeName)).size === d.disks.length, {
    path: ['disks'],
    message: 'two disks have one node name',
  })
  .refine(
    (d) => {
      const ids = d.disks.flatMap((disk) => [...disk.layers, disk.top])
      return new Set(ids).size === ids.length
    },
    { path: ['disks'], message: 'a layer is used twice' },
  )
export type GuestDefinition = z.infer<typeof guestDefinition>
