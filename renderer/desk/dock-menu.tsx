/** What can be done with another PC as a whole. */
import { Menu } from '@base-ui/react/menu'
import { Check, Ellipsis } from 'lucide-react'
import type { Dock } from '../../shared/models/dock.ts'
import { useActions } from '../state/app-context.tsx'
import { ask } from '../state/ui-store.ts'

export function DockMenu({ dock }: { dock: Dock }) {
  const actions = useActions()
  if (!dock.paired) return null
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger className="icon-btn" aria-label={`More for the PC ${dock.name}`} title="More">
        <Ellipsis size={18} aria-hidden />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner sideOffset={6} align="end" className="positioner">
          <Menu.Popup className="menu">
            <Menu.CheckboxItem
              className="menu__item menu__item--check"
              checked={dock.keepsReady}
              onCheckedChange={(allowed) => void actions.keepReady(dock, allowed)}
            >
              <span>Keep guests of this PC ready on {dock.name}</span>
              <Menu.CheckboxItemIndicator className="menu__check">
                <Check size={16} aria-hidden />
              </Menu.CheckboxItemIndicator>
            </Menu.CheckboxItem>
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
