/** What can be done with another PC as a whole. */
import { Menu } from '@base-ui/react/menu'
import { Ellipsis } from 'lucide-react'
import type { Dock } from '../../shared/models/dock.ts'
import { ask } from '../state/ui-store.ts'

export function DockMenu({ dock }: { dock: Dock }) {
  if (!dock.paired) return null
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger className="icon-btn" aria-label={`More for the PC ${dock.name}`} title="More">
        <Ellipsis size={18} aria-hidden />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner sideOffset={6} align="end" className="positioner">
          <Menu.Popup className="menu">
            <Menu.Item
              className="menu__item menu__item--danger"
              onClick={() => ask({ kind: 'unpair', dock })}
            >
              Unpair…
            </Menu.Item>
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  )
}
