/**
 * The contract between the host and its three faces (window, browser, command line): one object from which
 * handlers, clients and test stand-ins derive. Every failure of a call is `FAILED` with an `ErrorShape`.
 */
import { eventIterator, oc } from '@orpc/contract'
import { z } from 'zod'
import { errorShape } from './errors/wdock-error.ts'
import {
  checkpointId,
  checkpointLabel,
  checkpointRules,
  placeFinding,
  receivedLink,
  vaultCheck,
  vaultPlace,
  vaultStats,
} from './models/checkpoint.ts'
import { dock, dockId, pairing } from './models/dock.ts'
import { guest, guestName, newGuest } from './models/guest.ts'
import { hostEvent, hostSettings, hostState } from './models/host-state.ts'
import { migrationCheck, migrationRequest } from './models/migration.ts'

const base = oc.errors({ FAILED: { data: errorShape } })
const guestRef = z.strictObject({ guestId: z.uuid() })
const guestAt = z.strictObject({ guestId: z.uuid(), dockId })
const operationRef = z.strictObject({ operationId: z.string() })
const checkpointRef = z.strictObject({ checkpointId })
const started = z.object({ operationId: z.string() })

export const fileEntry = z.object({
  name: z.string(),
  kind: z.enum(['folder', 'file']),
  sizeBytes: z.number().nullable(),
})
export type FileEntry = z.infer<typeof fileEntry>

export const contract = {
  state: {
    /** The state at one instant. */
    get: base.output(hostState),
    /** A snapshot, then every change. Ends when the host stops or the watcher falls too far behind. */
    watch: base.output(eventIterator(hostEvent)),
  },
  guests: {
    /** Creates a guest. `operationId` is null when it is ready at once. */
    create: base.input(newGuest).output(z.object({ guestId: z.uuid(), operationId: z.string().nullable() })),
    start: base.input(guestRef).output(guest),
    pause: base.input(guestRef).output(guest),
    resume: base.input(guestRef).output(guest),
    /** Presses the power button; the guest decides. */
    shutDown: base.input(guestRef).output(guest),
    forceOff: base.input(guestRef).output(guest),
    rename: base.input(z.strictObject({ guestId: z.uuid(), name: guestName })).output(guest),
    /** Deletes a stopped guest; its disk goes to the trash. `trashedTo` is null where it had none. */
    remove: base.input(guestRef).output(z.object({ trashedTo: z.string().nullable() })),
    /** Brings a guest back from the trash, switched off; one whose move is not settled waits for that again. */
    undoRemove: base.input(guestRef).output(guest),
    /** The latest picture of a guest's screen, or null when it is not newer than `sinceRevision`. */
    picture: base
      .input(z.strictObject({ guestId: z.uuid(), dockId, sinceRevision: z.number().int().nullable() }))
      .output(z.object({ revision: z.number().int(), pngBase64: z.string() }).nullable()),
    /** A ticket for the guest's screen: a WebSocket address that is good for one connection and 30 s. */
    openScreen: base.input(guestAt).output(z.object({ url: z.string() })),
    /** The newest lines of the guest's QEMU log, for a person who looks for the reason of a failure. */
    log: base.input(guestRef).output(z.object({ text: z.string() })),
  },
  docks: {
    /** Asks who answers at `host` or `host:port`. */
    connect: base.input(z.strictObject({ address: z.string().trim().min(1).max(261) })).output(dock),
    startPairing: base.input(z.strictObject({ dockId })).output(pairing),
    confirmPairing: base.input(z.strictObject({ pairingId: z.string() })).output(pairing),
    refusePairing: base.input(z.strictObject({ pairingId: z.string() })).output(pairing),
    /** Takes an ended pairing off the screen; one under way stays. */
    dismissPairing: base.input(z.strictObject({ pairingId: z.string() })).output(z.object({})),
    /** Revokes the trust at once, on both sides where the other can be reached. */
    unpair: base.input(z.strictObject({ dockId })).output(z.object({})),
  },
  migrations: {
    /** Will it move? */
    check: base.input(migrationRequest).output(migrationCheck),
    /** Starts to move a guest between this dock and another; follow the operation. */
    start: base.input(migrationRequest).output(z.object({ operationId: z.string() })),
    /**
     * A person's decision on a handover that the docks cannot settle because they do not meet. `run-here` is
     * risky: the guest may run on the other dock as well. `give-up-here` moves this side's copy of a guest that has
     * arrived elsewhere to the trash: its disk is kept there, its memory is not.
     */
    settle: base
      .input(z.strictObject({ migrationId: z.string(), choice: z.enum(['run-here', 'give-up-here']) }))
      .output(z.object({})),
  },
  /** The one place where this dock keeps checkpoints. */
  vault: {
    /** Makes a vault in an empty place, a folder with its last part where that is not there yet, and shows its recovery phrase for the first time. */
    create: base.input(vaultPlace).output(z.object({ phrase: z.string() })),
    /** Opens a vault that another dock made, or this one before it was lost. */
    open: base
      .input(z.strictObject({ place: vaultPlace, phrase: z.string().max(1000) }))
      .output(z.object({})),
    /** Whether there is a vault at a place, before anything is decided. */
    look: base.input(vaultPlace).output(z.object({ kind: placeFinding })),
    /** Shows the recovery phrase again. */
    phrase: base.output(z.object({ phrase: z.string() })),
    phraseSeen: base.output(z.object({})),
    /** This dock forgets place and key; nothing in the vault is touched. */
    forget: base.output(z.object({})),
    stats: base.output(vaultStats),
    /** Reads manifests and lists packs; with `readData` every byte. */
    check: base.input(z.strictObject({ readData: z.boolean() })).output(vaultCheck),
    /** Frees what no checkpoint uses. */
    sweep: base.output(z.object({ freedBytes: z.number() })),
  },
  checkpoints: {
    make: base.input(z.strictObject({ guestId: z.uuid(), label: checkpointLabel.partial() })).output(started),
    /**
     * Brings a guest back. `same` takes the place of the guest here, whose present state is kept as a checkpoint
     * first; `copy` is a new guest with an id and network address of its own.
     */
    restore: base
      .input(z.strictObject({ checkpointId, as: z.enum(['same', 'copy']) }))
      .output(z.object({ operationId: z.string(), guestId: z.uuid() })),
    relabel: base
      .input(z.strictObject({ checkpointId, change: checkpointLabel.partial() }))
      .output(z.object({})),
    /** Its space is freed after a while, by a sweep. */
    remove: base.input(checkpointRef).output(z.object({})),
    picture: base.input(checkpointRef).output(z.object({ pngBase64: z.string() }).nullable()),
    changeRules: base
      .input(z.strictObject({ guestId: z.uuid(), rules: checkpointRules }))
      .output(checkpointRules),
  },
  lending: {
    /** Makes a link at once; what it leads to is prepared behind it. Null is at once, and for ever. */
    lend: base
      .input(z.strictObject({ checkpointId, startMs: z.number().nullable(), endMs: z.number().nullable() }))
      .output(z.object({ shareId: checkpointId, link: z.string() })),
    revoke: base.input(z.strictObject({ shareId: checkpointId })).output(z.object({})),
    /** What a link that was received leads to. */
    look: base.input(z.strictObject({ link: z.string().max(8192) })).output(receivedLink),
    /** Restores what a link leads to, as a guest of this dock's own. */
    receive: base
      .input(z.strictObject({ link: z.string().max(8192) }))
      .output(z.object({ operationId: z.string(), guestId: z.uuid() })),
  },
  /** What this dock keeps of guests’ memory, so that only what changed has to cross the next time. */
  keptMemory: {
    /** No error when nothing is kept of this guest. @throws kept.in_use while a visit of it is under way */
    forget: base.input(guestRef).output(z.object({})),
    /** @throws kept.in_use when guests were left out for a visit that is under way */
    forgetAll: base.output(z.object({})),
  },
  /** Docks that have what a move of a guest will need before it moves. */
  warm: {
    /** Whether guests of this dock are kept ready on another; what is there goes when they are not any more. */
    allow: base.input(z.strictObject({ dockId, allowed: z.boolean() })).output(z.object({})),
    /** Makes a dock ready for a guest now, and answers when it is. @throws warm.ended, why the other dock refuses */
    now: base.input(guestAt).output(z.object({})),
  },
  operations: {
    cancel: base.input(operationRef).output(z.object({})),
    /** Takes an ended operation off the screen. */
    dismiss: base.input(operationRef).output(z.object({})),
  },
  settings: {
    change: base.input(hostSettings.partial().strict()).output(hostSettings),
  },
  files: {
    /** A folder of this PC, for choosing disks and images. Null starts at the home folder. */
    list: base
      .input(z.strictObject({ path: z.string().max(4096).nullable() }))
      .output(z.object({ path: z.string(), parent: z.string().nullable(), entries: z.array(fileEntry) })),
  },
  host: {
    /** Ends the host. Running guests go on and are found again at the next start. */
    quit: base.output(z.object({})),
  },
}
export type Contract = typeof contract
