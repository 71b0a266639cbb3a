/** The checkpoints of a guest on its own page: make one, look at them, and the rules by which they make themselves. */
import type { Guest } from '../../shared/models/guest.ts'
import { Empty } from '../kit/page.tsx'
import { useHost } from '../state/app-context.tsx'
import { CheckpointNow } from './checkpoint-now.tsx'
import { GuestHistory } from './guest-history.tsx'
import { Rules } from './rules.tsx'
import { NoVault, VaultNotices } from './vault-notices.tsx'

export function GuestCheckpoints({ guest }: { guest: Guest }) {
  const hasVault = useHost((state) => state.vault.kind !== 'none')
  const isHere = useHost((state) => state.info.dockId === guest.dockId)
  if (!hasVault) return <NoVault />
  return (
    <>
      <VaultNotices />
      {isHere && <CheckpointNow guest={guest} />}
      <GuestHistory
        guestId={guest.id}
        guestName={guest.name}
        empty={
          <Empty title="No checkpoint of it yet">
            <p>
              {isHere
                ? 'Each one is kept here with its picture, so that you can go back to it.'
                : 'They are made on the PC that it runs on.'}
            </p>
          </Empty>
        }
      />
      {isHere && <Rules guestId={guest.id} />}
    </>
  )
}
