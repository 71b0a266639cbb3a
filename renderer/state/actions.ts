/**
 * What a person can do, as functions: each calls the host, marks itself as pending meanwhile and tells a failure
 * where the person looks. None of them changes the host's state in the page; the host's events do.
 */
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Dock } from '../../shared/models/dock.ts'
import type { Guest, NewGuest } from '../../shared/models/guest.ts'
import type { HostSettings } from '../../shared/models/host-state.ts'
import type { MigrationRequest } from '../../shared/models/migration.ts'
import type { HostClient } from '../client/host-client.ts'
import { attempt, attemptAloud } from './attempts.ts'
import { createCheckpointActions } from './checkpoint-actions.ts'
import { askCheck, requestKey } from './checks.ts'
import { showDone } from './toasts.ts'
import { useUi } from './ui-store.ts'
import { createVaultActions } from './vault-actions.ts'

export type GuestCommand = 'start' | 'pause' | 'resume' | 'shutDown' | 'forceOff'
/** The key under which a call about a guest is pending. */
export function guestKey(guestId: string): string {
  return `guest:${guestId}`
}

/** The same for what is kept of a guest's memory. */
export function keptKey(guestId: string): string {
  return `kept:${guestId}`
}

export function moveKey(request: MigrationRequest): string {
  return `move:${requestKey(request)}`
}

async function move(client: HostClient, request: MigrationRequest, at: string): Promise<void> {
  useUi.setState({ blocked: null })
  let errors: ErrorShape[] = []
  const failure = await attempt(moveKey(request), async () => {
    const check = await askCheck(client, request, true)
    errors = check.blockers
    if (errors.length === 0) await client.migrations.start(request)
  })
  if (failure !== null) errors = [failure]
  if (errors.length > 0) useUi.setState({ blocked: { request, at, errors } })
}

async function remove(client: HostClient, guest: Guest): Promise<void> {
  const key = guestKey(guest.id)
  const done = await attemptAloud(key, () => client.guests.remove({ guestId: guest.id }))
  if (!done) return
  showTrashed(client, guest, `Deleted ${guest.name}. Its disk is in the trash.`)
}

async function settle(
  client: HostClient,
  guest: Guest,
  decision: { migrationId: string; choice: 'run-here' | 'give-up-here' },
): Promise<void> {
  const { migrationId, choice } = decision
  const done = await attemptAloud(`settle:${migrationId}`, () => client.migrations.settle(decision))
  if (!done || choice === 'run-here') return
  showTrashed(client, guest, `Gave up ${guest.name} here. Its disk is in the trash.`)
}

/** Says that a guest went to the trash, and offers to bring it back. */
function showTrashed(client: HostClient, guest: Guest, text: string): void {
  showDone(text, () => {
    void attemptAloud(guestKey(guest.id), () => client.guests.undoRemove({ guestId: guest.id }))
  })
}

async function forgetKept(client: HostClient, guestId: string, name: string): Promise<void> {
  const done = await attemptAloud(keptKey(guestId), () => client.keptMemory.forget({ guestId }))
  if (done) showDone(`Forgot the memory of ${name}.`)
}

async function forgetAllKept(client: HostClient): Promise<void> {
  if (await attemptAloud('kept', () => client.keptMemory.forgetAll())) showDone('Nothing is kept any more.')
}

async function keepReady(client: HostClient, { id: dockId, name }: Dock, allowed: boolean): Promise<void> {
  const done = await attemptAloud(`ready:${dockId}`, () => client.warm.allow({ dockId, allowed }))
  if (!done) return
  showDone(
    allowed
      ? `Guests of this PC are kept ready on ${name}, while nobody else needs the connection.`
      : `Guests of this PC are not kept ready on ${name} any more.`,
  )
}

async function create(
  client: HostClient,
  guest: NewGuest,
): Promise<{ guestId: string } | { error: ErrorShape }> {
  let guestId = ''
  const error = await attempt('create', async () => {
    guestId = (await client.guests.create(guest)).guestId
  })
  return error === null ? { guestId } : { error }
}

export function createActions(client: HostClient) {
  return {
    ...createCheckpointActions(client),
    ...createVaultActions(client),
    command: (guest: Guest, command: GuestCommand) =>
      attemptAloud(guestKey(guest.id), () => client.guests[command]({ guestId: guest.id })),
    rename: (guestId: string, name: string) =>
      attempt(guestKey(guestId), () => client.guests.rename({ guestId, name })),
    remove: (guest: Guest) => remove(client, guest),
    create: (guest: NewGuest) => create(client, guest),
    /** @param at the dock on whose desk it was asked for; else the one the guest is on */
    move: (request: MigrationRequest, at = request.fromDockId) => move(client, request, at),
    cancel: (operationId: string) =>
      attemptAloud(`cancel:${operationId}`, () => client.operations.cancel({ operationId })),
    dismiss: (operationId: string) =>
      attemptAloud(`dismiss:${operationId}`, () => client.operations.dismiss({ operationId })),
    settle: (guest: Guest, migrationId: string, choice: 'run-here' | 'give-up-here') =>
      settle(client, guest, { migrationId, choice }),
    connect: (address: string) => attempt('connect', () => client.docks.connect({ address })),
    pair: (dockId: string) => attemptAloud(`pair:${dockId}`, () => client.docks.startPairing({ dockId })),
    unpair: (dock: Dock) => attemptAloud(`pair:${dock.id}`, () => client.docks.unpair({ dockId: dock.id })),
    keepReady: (dock: Dock, allowed: boolean) => keepReady(client, dock, allowed),
    confirmPairing: (pairingId: string) =>
      attemptAloud(`pairing:${pairingId}`, () => client.docks.confirmPairing({ pairingId })),
    refusePairing: (pairingId: string) =>
      attemptAloud(`pairing:${pairingId}`, () => client.docks.refusePairing({ pairingId })),
    dismissPairing: (pairingId: string) =>
      attemptAloud(`pairing:${pairingId}`, () => client.docks.dismissPairing({ pairingId })),
    changeSettings: (change: Partial<HostSettings>) =>
      attempt('settings', () => client.settings.change(change)),
    forgetKept: (guestId: string, name: string) => forgetKept(client, guestId, name),
    forgetAllKept: () => forgetAllKept(client),
    quitHost: () => attemptAloud('quit', () => client.host.quit()),
  }
}
export type Actions = ReturnType<typeof createActions>
