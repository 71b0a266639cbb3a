/**
 * Carrying a guest's picture from one desk to another. A desk accepts what the button could do as well: guests
 * move between this PC and a paired dock. The keyboard's way is the button.
 */
import type { DragEvent } from 'react'
import type { Dock } from '../../shared/models/dock.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { MigrationRequest } from '../../shared/models/migration.ts'
import { useUi } from '../state/ui-store.ts'

const mimeType = 'application/x-wdock-guest'

export function dragHandlers(guest: Guest, movable: boolean) {
  return {
    draggable: movable,
    onDragStart: (event: DragEvent) => {
      event.dataTransfer.setData(mimeType, guest.id)
      event.dataTransfer.effectAllowed = 'move'
      useUi.setState({ dragged: { guestId: guest.id, fromDockId: guest.dockId } })
    },
    onDragEnd: () => useUi.setState({ dragged: null }),
  }
}

/** What dropping the dragged guest on `dock` would do, or null where it cannot be dropped. */
export function dropRequest(
  dragged: { guestId: string; fromDockId: string } | null,
  dock: Dock,
  hereId: string,
): MigrationRequest | null {
  if (dragged === null || dragged.fromDockId === dock.id) return null
  if (dock.id !== hereId && dragged.fromDockId !== hereId) return null
  const reachable = dock.presence.kind === 'here' || (dock.presence.kind === 'online' && dock.paired)
  return reachable ? { ...dragged, toDockId: dock.id } : null
}

/** Handlers of a desk that accepts `request`; none while there is nothing to accept. */
export function dropHandlers(request: MigrationRequest | null, drop: (request: MigrationRequest) => void) {
  if (request === null) return {}
  return {
    onDragOver: (event: DragEvent) => {
      event.preventDefault()
      event.dataTransfer.dropEffect = 'move'
    },
    onDrop: (event: DragEvent) => {
      event.preventDefault()
      useUi.setState({ dragged: null })
      drop(request)
    },
  }
}
