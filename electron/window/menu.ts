/**
 * The application menu. It is hidden on Linux and there for its keys: what it does not name (reload, developer
 * tools) has no key. A guest's screen takes keys before the menu does.
 */
import type { Menu, MenuItemConstructorOptions } from 'electron'

export interface MenuOptions {
  appName: string
  /** Shows a view of the page, as `#/settings`. */
  show(route: string): void
  quit(): void
  devTools: boolean
}

export function installMenu(menu: typeof Menu, options: MenuOptions): void {
  menu.setApplicationMenu(menu.buildFromTemplate(menuTemplate(options)))
}

export function menuTemplate(options: MenuOptions): MenuItemConstructorOptions[] {
  return [
    {
      label: options.appName,
      submenu: [
        { label: 'Desk', accelerator: 'CmdOrCtrl+1', click: () => options.show('#/') },
        { label: 'Checkpoints', accelerator: 'CmdOrCtrl+2', click: () => options.show('#/checkpoints') },
        { label: 'Moves', accelerator: 'CmdOrCtrl+3', click: () => options.show('#/moves') },
        { label: 'Settings', accelerator: 'CmdOrCtrl+,', click: () => options.show('#/settings') },
        { type: 'separator' },
        { label: 'Quit (guests go on)', accelerator: 'CmdOrCtrl+Q', click: () => options.quit() },
      ],
    },
    { role: 'editMenu' },
    {
      label: 'View',
      submenu: [
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { role: 'togglefullscreen' },
        ...(options.devTools ? [{ role: 'toggleDevTools' } as const] : []),
      ],
    },
  ]
}
