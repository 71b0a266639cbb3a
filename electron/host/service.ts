/** The contract, answered by the host's use cases. Each handler is one line; the work is elsewhere. */
import { open } from 'node:fs/promises'
import type { ContractHandlers } from '../../shared/contract-handlers.ts'
import { fail } from '../../shared/errors/index.ts'
import type { HostSettings } from '../../shared/models/host-state.ts'
import { parseAddress } from '../docks/address.ts'
import type { DockNet, PairingInfo } from '../docks/dock-net.ts'
import type { Random } from '../platform/random.ts'
import { socketPaths } from '../qemu/sockets.ts'
import type { Checkpoints } from './checkpoints/checkpoints.ts'
import { checkpointHandlers, vaultHandlers } from './checkpoints/handlers.ts'
import type { Docking } from './docking/docking.ts'
import type { KeptMemory } from './docking/kept-memory.ts'
import type { WarmDocks } from './docking/warm/warm-docks.ts'
import { listFolder } from './files.ts'
import type { Guests } from './guests/guests.ts'
import type { Neighbours } from './neighbours.ts'
import type { Operations } from './operations.ts'
import type { Pictures } from './pictures.ts'
import type { Screens } from './screens.ts'
import { defaultPort, type Settings } from './settings.ts'
import type { StateStore } from './state-store.ts'

export interface ServiceParts {
  store: StateStore
  guests: Guests
  docking: Docking
  operations: Operations
  neighbours: Neighbours
  keptMemory: KeptMemory
  warmDocks: WarmDocks
  net: DockNet
  settings: Settings
  pictures: Pictures
  screens: Screens
  checkpoints: Checkpoints
  restore: ContractHandlers['checkpoints']['restore']
  lending: ContractHandlers['lending']
  random: Random
}

const logTailBytes = 64 * 1024

export function hostHandlers(parts: ServiceParts): ContractHandlers {
  const { store, docking, operations, pictures, net } = parts
  return {
    state: {
      get: async () => store.state,
      watch: (_input, { signal }) => store.watch(signal),
    },
    guests: guestHandlers(parts),
    docks: dockHandlers(parts),
    migrations: migrationHandlers(docking),
    vault: vaultHandlers({ ...parts, ...parts.checkpoints }),
    checkpoints: { ...checkpointHandlers({ ...parts, ...parts.checkpoints }), restore: parts.restore },
    lending: parts.lending,
    keptMemory: keptMemoryHandlers(parts),
    warm: warmHandlers(parts),
    operations: {
      cancel: async ({ operationId }) => {
        await docking.cancel(operationId)
        return {}
      },
      dismiss: async ({ operationId }) => {
        operations.dismiss(operationId)
        return {}
      },
    },
    settings: { change: (change) => changeSettings(parts, change) },
    files: { list: ({ path }) => listFolder(path) },
    // Whoever started the host ends it, once the answer has been given.
    host: { quit: async () => ({}) },
  }

  function guestHandlers({ guests, screens }: ServiceParts): ContractHandlers['guests'] {
    return {
      create: (wanted) => guests.create(wanted),
      start: ({ guestId }) => guests.act(guestId, 'start'),
      pause: ({ guestId }) => guests.act(guestId, 'pause'),
      resume: ({ guestId }) => guests.act(guestId, 'resume'),
      shutDown: ({ guestId }) => guests.act(guestId, 'shutDown'),
      forceOff: ({ guestId }) => guests.act(guestId, 'forceOff'),
      rename: ({ guestId, name }) => guests.rename(guestId, name),
      remove: ({ guestId }) => guests.remove(guestId),
      undoRemove: ({ guestId }) => guests.undoRemove(guestId, docking.restingState(guestId)),
      picture: ({ guestId, dockId, sinceRevision }) => pictures.get(dockId, guestId, sinceRevision),
      openScreen: async ({ guestId, dockId }) => ({ url: `/screen/${screens.open(dockId, guestId)}` }),
      log: async ({ guestId }) => ({ text: await readTail(socketPaths(guests.get(guestId).runDir).log) }),
    }
  }

  function dockHandlers({ neighbours }: ServiceParts): ContractHandlers['docks'] {
    return {
      connect: async ({ address }) => {
        const { host, port } = parseAddress(address, defaultPort)
        return neighbours.view(await net.connectByAddress(host, port))
      },
      startPairing: ({ dockId }) => net.startPairing(dockId),
      confirmPairing: async ({ pairingId }) => {
        await net.confirmPairing(pairingId)
        return pairingOf(net, pairingId)
      },
      refusePairing: async ({ pairingId }) => {
        await net.refusePairing(pairingId)
        return pairingOf(net, pairingId)
      },
      dismissPairing: async ({ pairingId }) => {
        await net.dismissPairing(pairingId)
        return {}
      },
      unpair: async ({ dockId }) => {
        await net.unpair(dockId)
        return {}
      },
    }
  }
}

function warmHandlers({ warmDocks }: ServiceParts): ContractHandlers['warm'] {
  return {
    allow: async ({ dockId, allowed }) => {
      await warmDocks.allow(dockId, allowed)
      return {}
    },
    now: async (pair) => {
      await warmDocks.now(pair)
      return {}
    },
  }
}

function keptMemoryHandlers({ keptMemory, warmDocks }: ServiceParts): ContractHandlers['keptMemory'] {
  return {
    forget: async ({ guestId }) => {
      await warmDocks.forgetHere(guestId)
      await keptMemory.forget(guestId)
      return {}
    },
    forgetAll: async () => {
      await warmDocks.forgetHere(null)
      await keptMemory.forgetAll()
      return {}
    },
  }
}

async function changeSettings(
  { settings, net, store, keptMemory, warmDocks }: ServiceParts,
  change: Parameters<Settings['change']>[0],
): Promise<HostSettings> {
  const changed = await settings.change(change)
  if (change.dockName !== undefined) await net.setName(changed.dockName)
  store.apply({ type: 'settings.changed', settings: changed })
  if (change.keptMemoryMiB === 0) await warmDocks.forgetHere(null)
  if (change.keptMemoryMiB !== undefined) await keptMemory.tidy()
  return changed
}

function migrationHandlers(docking: Docking): ContractHandlers['migrations'] {
  return {
    check: (request) => docking.check(request),
    start: (request) => docking.move(request),
    settle: async ({ migrationId, choice }) => {
      await docking.settle(migrationId, choice)
      return {}
    },
  }
}

function pairingOf(net: DockNet, pairingId: string): PairingInfo {
  const found = net.pairings().find((pairing) => pairing.id === pairingId)
  if (found === undefined) throw fail('pairing.not_found')
  return found
}

/** The last part of a text file; empty when there is none. */
async function readTail(path: string): Promise<string> {
  const file = await open(path, 'r').catch(() => null)
  if (file === null) return ''
  try {
    const { size } = await file.stat()
    const length = Math.min(size, logTailBytes)
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.toString('utf8')
  } finally {
    await file.close()
  }
}
