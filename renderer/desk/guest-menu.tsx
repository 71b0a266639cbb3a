/** Everything else that can be done with a guest, behind one button. */
import { Menu } from '@base-ui/react/menu'
import { Ellipsis } from 'lucide-react'
import type { Dock } from '../../shared/models/dock.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { mayCheckpoint } from '../model/checkpoint-words.ts'
import { canDelete, commandsFor, isUsable, mayMove } from '../model/guest-words.ts'
import type { GuestCommand } from '../state/actions.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { makeKey } from '../state/checkpoint-actions.ts'
import { navigate } from '../state/route.ts'
import { ask, usePending } from '../state/ui-store.ts'

interface GuestMenuProps {
  guest: Guest
  isHere: boolean
  /** Paired docks in reach to which it could be sent. Empty for a guest elsewhere. */
  targets: readonly Dock[]
}

export function GuestMenu({ guest, isHere, targets }: GuestMenuProps) {
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger className="icon-btn" aria-label={`More for ${guest.name}`} title="More">
        <Ellipsis size={18} aria-hidden />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner sideOffset={6} align="end" className="positioner">
          <Menu.Popup className="menu">
            <Menu.Item
              className="menu__item"
              onClick={() =>
                navigate({ kind: 'guest', dockId: guest.dockId, guestId: guest.id, tab: 'screen' })
              }
            >
              Open
            </Menu.Item>
            {isHere && <CommandItems guest={guest} />}
            <CheckpointItems guest={guest} isHere={isHere} />
            {isHere && mayMove(guest) && <SendItems guest={guest} targets={targets} />}
            {isHere && <LeavingItem guest={guest} />}
            {isHere && <EditItems guest={guest} />}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  )
}

function CommandItems({ guest }: { guest: Guest }) {
  const actions = useActions()
  const usable = useHost(({ operations }) => isUsable(guest, operations))
  function run(command: GuestCommand): void {
    if (command === 'forceOff') ask({ kind: 'force-off', guest })
    else void actions.command(guest, command)
  }
  if (!usable) return null
  return commandsFor(guest.state).map(({ command, label }) => (
    <Menu.Item key={command} className="menu__item" onClick={() => run(command)}>
      {label}
    </Menu.Item>
  ))
}

function CheckpointItems({ guest, isHere }: { guest: Guest; isHere: boolean }) {
  const actions = useActions()
  const pending = usePending(makeKey(guest.id))
  const hasVault = useHost((state) => state.vault.kind !== 'none')
  const { dockId, id: guestId } = guest
  return (
    <>
      <Menu.Separator className="menu__line" />
      {isHere && mayCheckpoint(guest) && (
        <Menu.Item
          className="menu__item"
          disabled={pending}
          onClick={() => (hasVault ? void actions.makeCheckpoint(guest) : navigate({ kind: 'vault' }))}
        >
          {hasVault ? 'Checkpoint now' : 'Checkpoint now… (choose a place first)'}
        </Menu.Item>
      )}
      {isHere && hasVault && mayCheckpoint(guest) && (
        <Menu.Item
          className="menu__item"
          disabled={pending}
          onClick={() => ask({ kind: 'make-named', guest })}
        >
          Checkpoint with a name…
        </Menu.Item>
      )}
      <Menu.Item
        className="menu__item"
        onClick={() => navigate({ kind: 'guest', dockId, guestId, tab: 'checkpoints' })}
      >
        Checkpoints
      </Menu.Item>
    </>
  )
}

function SendItems({ guest, targets }: { guest: Guest; targets: readonly Dock[] }) {
  const actions = useActions()
  return (
    <>
      <Menu.Separator className="menu__line" />
      {targets.map((dock) => (
        <Menu.Item
          key={dock.id}
          className="menu__item"
          onClick={() =>
            void actions.move({ guestId: guest.id, fromDockId: guest.dockId, toDockId: dock.id })
          }
        >
          Send to {dock.name}
        </Menu.Item>
      ))}
      {targets.map((dock) => (
        <PostCopyItem key={dock.id} guest={guest} dock={dock} />
      ))}
      {targets.length === 0 && (
        <Menu.Item className="menu__item" disabled>
          Send to … (no paired PC in reach)
        </Menu.Item>
      )}
    </>
  )
}

/** For a person who no longer wants to wait for the other PC. */
function LeavingItem({ guest }: { guest: Guest }) {
  const docks = useHost((state) => state.docks)
  const { state } = guest
  if (state.kind !== 'leaving') return null
  const { migrationId, toDockId } = state
  const otherName = docks.find((dock) => dock.id === toDockId)?.name ?? 'the other PC'
  return (
    <Menu.Item
      className="menu__item menu__item--danger"
      onClick={() => ask({ kind: 'give-up-here', guest, migrationId, otherName })}
    >
      Give up the rest of its memory…
    </Menu.Item>
  )
}

/** Greyed where the other PC cannot, with what would allow it. */
function PostCopyItem({ guest, dock }: { guest: Guest; dock: Dock }) {
  const problem = dock.capabilities?.postCopyProblem ?? null
  return (
    <Menu.Item
      className="menu__item"
      disabled={problem !== null}
      onClick={() => ask({ kind: 'post-copy', guest, dock })}
    >
      Send to {dock.name}, finish with post-copy…
      {problem !== null && ` (${problem})`}
    </Menu.Item>
  )
}

function EditItems({ guest }: { guest: Guest }) {
  return (
    <>
      <Menu.Separator className="menu__line" />
      <Menu.Item className="menu__item" onClick={() => ask({ kind: 'rename', guest })}>
        Rename…
      </Menu.Item>
      <Menu.Item
        className="menu__item menu__item--danger"
        disabled={!canDelete(guest)}
        onClick={() => ask({ kind: 'delete', guest })}
      >
        Delete…{canDelete(guest) ? '' : ' (shut it down first)'}
      </Menu.Item>
    </>
  )
}
