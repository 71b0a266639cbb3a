/** Why a guest cannot move now: a sentence and a way out for every blocker, and a button to look again. */

import { Popover } from '@base-ui/react/popover'
import { X } from 'lucide-react'
import type { RefObject } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { Button, IconButton } from '../kit/button.tsx'
import { ErrorDetail } from '../kit/error-notice.tsx'
import { moveKey } from '../state/actions.ts'
import { useActions } from '../state/app-context.tsx'
import { type Blocked, usePending, useUi } from '../state/ui-store.ts'

interface BlockedPanelProps {
  blocked: Blocked
  guestName: string
  dockName: string
  anchor: RefObject<HTMLElement | null>
}

function close(): void {
  useUi.setState({ blocked: null })
}

export function BlockedPanel({ blocked, guestName, dockName, anchor }: BlockedPanelProps) {
  const actions = useActions()
  const pending = usePending(moveKey(blocked.request))
  return (
    <Popover.Root open onOpenChange={(open) => !open && close()}>
      <Popover.Portal>
        <Popover.Positioner anchor={anchor} sideOffset={10} collisionPadding={16} className="positioner">
          <Popover.Popup className="panel">
            <Popover.Title className="panel__title">
              {guestName} cannot move to {dockName} yet
            </Popover.Title>
            <Popover.Close className="icon-btn panel__close" aria-label="Close">
              <X size={16} aria-hidden />
            </Popover.Close>
            <BlockerList errors={blocked.errors} />
            <Button small disabled={pending} onClick={() => void actions.move(blocked.request, blocked.at)}>
              Try again
            </Button>
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  )
}

function BlockerList({ errors }: { errors: readonly ErrorShape[] }) {
  return (
    <ul className="panel__list">
      {errors.map((error) => (
        <li key={`${error.code}${error.message}`}>
          <p className="panel__says">{error.message}</p>
          <p className="panel__fix">{error.fix}</p>
          <ErrorDetail detail={error.detail} />
        </li>
      ))}
    </ul>
  )
}

/** The same explanation in the flow of a page: on a guest's own, and on a desk that its guest has left meanwhile. */
export function BlockedNote({ guestId }: { guestId: string }) {
  const actions = useActions()
  const blocked = useUi((ui) => (ui.blocked?.request.guestId === guestId ? ui.blocked : null))
  if (blocked === null) return null
  return (
    <div className="notice notice--error" role="alert">
      <div className="notice__body">
        <p className="panel__title">The guest cannot move yet</p>
        <BlockerList errors={blocked.errors} />
        <Button small onClick={() => void actions.move(blocked.request, blocked.at)}>
          Try again
        </Button>
      </div>
      <IconButton label="Dismiss" onClick={close}>
        <X size={16} aria-hidden />
      </IconButton>
    </div>
  )
}
