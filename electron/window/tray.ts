/** The icon in the desktop's tray: what runs here at a glance, and the way back to the window. */
import type { Menu, MenuItemConstructorOptions, NativeImage, Tray } from 'electron'
import type { HostState } from '../../shared/models/host-state.ts'
import type { StateListener } from './host-follower.ts'
import { isMoving } from './power.ts'

export interface TrayOptions {
  tray: typeof Tray
  menu: typeof Menu
  icon: NativeImage
  show(route: string | null): void
  quit(): void
}

/** Makes the tray icon. @returns the listener that keeps it up to date. */
export function installTray(options: TrayOptions): StateListener {
  const tray = new options.tray(options.icon)
  let said = ''
  const say = (sentence: string): void => {
    if (sentence === said) return
    said = sentence
    tray.setToolTip(`Wireless Dock+: ${sentence}`)
    tray.setContextMenu(options.menu.buildFromTemplate(trayTemplate(sentence, options)))
  }
  tray.on('click', () => options.show(null))
  say('starting')
  return (state) => say(summaryOf(state))
}

export function summaryOf(state: HostState): string {
  const running = state.guests.filter(
    (guest) => guest.dockId === state.info.dockId && guest.state.kind === 'running',
  ).length
  const guests = running === 1 ? '1 guest runs here' : `${running === 0 ? 'no' : running} guests run here`
  return isMoving(state) ? `${guests}, one is moving` : guests
}

function trayTemplate(sentence: string, options: TrayOptions): MenuItemConstructorOptions[] {
  return [
    { label: sentence, enabled: false },
    { type: 'separator' },
    { label: 'Open Wireless Dock+', click: () => options.show(null) },
    { label: 'Settings', click: () => options.show('#/settings') },
    { label: 'Quit (guests go on)', click: () => options.quit() },
  ]
}
