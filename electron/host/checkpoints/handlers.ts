/** The contract's `vault` and `checkpoints`, answered. Each handler is a line or two; the work is elsewhere. */
import type { ContractHandlers } from '../../../shared/contract-handlers.ts'
import type { CheckpointLabel } from '../../../shared/models/checkpoint.ts'
import type { Guests } from '../guests/guests.ts'
import type { StateStore } from '../state-store.ts'
import type { CheckpointList } from './checkpoint-list.ts'
import type { CheckpointMaker } from './make-checkpoint.ts'
import type { RuleBook } from './rules.ts'
import type { Upkeep } from './upkeep.ts'
import type { VaultDesk } from './vault-desk.ts'
import type { VaultWorks } from './vault-works.ts'

export interface CheckpointHandlerParts {
  desk: VaultDesk
  list: CheckpointList
  maker: CheckpointMaker
  rules: RuleBook
  upkeep: Upkeep
  guests: Guests
  store: StateStore
  works: VaultWorks
}

export function vaultHandlers({ desk, upkeep, works }: CheckpointHandlerParts): ContractHandlers['vault'] {
  return {
    create: async (place) => ({ phrase: await desk.create(place) }),
    open: async ({ place, phrase }) => {
      await desk.open(place, phrase)
      return {}
    },
    look: async (place) => ({ kind: await desk.look(place) }),
    phrase: async () => ({ phrase: await desk.phrase() }),
    phraseSeen: async () => {
      await desk.phraseSeen()
      return {}
    },
    forget: async () => {
      await desk.forget()
      return {}
    },
    stats: () => desk.opened().stats(),
    // Who goes away does not want the answer.
    check: ({ readData }, { signal }) =>
      works.run('check', signal, (service, workId) => service.check({ readData, workId })),
    sweep: (_input, { signal }) => upkeep.sweep(signal),
  }
}

/** Restoring is another part's: see `restore.ts`. */
export function checkpointHandlers(
  parts: CheckpointHandlerParts,
): Omit<ContractHandlers['checkpoints'], 'restore'> {
  const { list, maker, rules, upkeep, guests, store } = parts
  return {
    make: async ({ guestId, label }) => {
      return { operationId: maker.make(guestId, 'person', given(label)).operationId }
    },
    relabel: async ({ checkpointId, change }) => {
      await list.relabel(checkpointId, given(change))
      return {}
    },
    remove: async ({ checkpointId }) => {
      await list.remove(checkpointId)
      upkeep.noteDeletion()
      return {}
    },
    picture: ({ checkpointId }) => list.picture(checkpointId),
    changeRules: async ({ guestId, rules: wanted }) => {
      guests.get(guestId)
      await rules.change(guestId, wanted)
      store.apply({ type: 'checkpoint.rules', guestId, rules: wanted })
      return wanted
    },
  }
}

/** What is not given is left as it is, rather than set to nothing. */
function given({
  name,
  note,
  pinned,
}: {
  [Key in keyof CheckpointLabel]?: CheckpointLabel[Key] | undefined
}): Partial<CheckpointLabel> {
  return {
    ...(name === undefined ? {} : { name }),
    ...(note === undefined ? {} : { note }),
    ...(pinned === undefined ? {} : { pinned }),
  }
}
