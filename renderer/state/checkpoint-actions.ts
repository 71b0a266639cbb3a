/** What a person can do with checkpoints and with links to them. */
import type {
  Checkpoint,
  CheckpointLabel,
  CheckpointRules,
  LentLink,
} from '../../shared/models/checkpoint.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { HostClient } from '../client/host-client.ts'
import type { LendTimes } from '../model/lend-draft.ts'
import { attempt, attemptAloud, attemptFor } from './attempts.ts'

/** The key under which a call about a checkpoint is pending. */
export function checkpointKey(checkpointId: string): string {
  return `checkpoint:${checkpointId}`
}

/** The key under which making a checkpoint of a guest is pending. */
export function makeKey(guestId: string): string {
  return `make:${guestId}`
}

export function createCheckpointActions(client: HostClient) {
  return {
    makeCheckpoint: (guest: Guest) =>
      attemptAloud(makeKey(guest.id), () => client.checkpoints.make({ guestId: guest.id, label: {} })),
    makeNamedCheckpoint: (guest: Guest, label: Pick<CheckpointLabel, 'name' | 'note'>) =>
      attempt(makeKey(guest.id), () => client.checkpoints.make({ guestId: guest.id, label })),
    restore: (checkpoint: Checkpoint, as: 'same' | 'copy') =>
      attempt(checkpointKey(checkpoint.id), () =>
        client.checkpoints.restore({ checkpointId: checkpoint.id, as }),
      ),
    relabel: (checkpoint: Checkpoint, change: Partial<CheckpointLabel>) =>
      attempt(checkpointKey(checkpoint.id), () =>
        client.checkpoints.relabel({ checkpointId: checkpoint.id, change }),
      ),
    pin: (checkpoint: Checkpoint, pinned: boolean) =>
      attemptAloud(checkpointKey(checkpoint.id), () =>
        client.checkpoints.relabel({ checkpointId: checkpoint.id, change: { pinned } }),
      ),
    removeCheckpoint: (checkpoint: Checkpoint) =>
      attemptAloud(checkpointKey(checkpoint.id), () =>
        client.checkpoints.remove({ checkpointId: checkpoint.id }),
      ),
    changeRules: (guestId: string, rules: CheckpointRules) =>
      attempt(`rules:${guestId}`, () => client.checkpoints.changeRules({ guestId, rules })),
    lend: (checkpoint: Checkpoint, times: LendTimes) =>
      attemptFor('lend', () => client.lending.lend({ checkpointId: checkpoint.id, ...times })),
    revoke: (link: LentLink) =>
      attemptAloud(`share:${link.shareId}`, () => client.lending.revoke({ shareId: link.shareId })),
    lookAtLink: (link: string) => attemptFor('look-link', () => client.lending.look({ link })),
    receive: (link: string) => attempt('receive', () => client.lending.receive({ link })),
  }
}
