/** The desktop around the app: menus, tray, notifications, power, screens. Recorded; nothing is drawn. */
import { EventEmitter } from 'node:events'
import { existsSync } from 'node:fs'
import { type MenuRecord, onPoke, record } from './desktop-log.ts'
import { loud } from './loud.ts'

interface MenuTemplate {
  label?: string
  role?: string
  type?: string
  enabled?: boolean
  accelerator?: string
  click?: () => void
  submenu?: MenuTemplate[]
}

class MenuStandIn {
  readonly template: readonly MenuTemplate[]

  constructor(template: readonly MenuTemplate[]) {
    this.template = template
  }

  static buildFromTemplate(template: readonly MenuTemplate[]): MenuStandIn {
    return new MenuStandIn(template)
  }

  static setApplicationMenu(menu: MenuStandIn | null): void {
    record.appMenu = menu === null ? [] : recordOf(menu.template)
    onPoke('click-app-menu', ({ path }) => click(menu, path))
  }
}

function recordOf(template: readonly MenuTemplate[]): MenuRecord[] {
  return template.map((item) => ({
    label: item.label ?? '',
    role: item.role ?? null,
    enabled: item.enabled ?? true,
    submenu: recordOf(item.submenu ?? []),
  }))
}

function click(menu: MenuStandIn | null, path: readonly string[]): void {
  let items = menu?.template ?? []
  let found: MenuTemplate | undefined
  for (const label of path) {
    found = items.find((item) => item.label === label)
    if (found === undefined) throw new Error(`no menu item ${label}`)
    items = found.submenu ?? []
  }
  if (found?.click === undefined || found.enabled === false) throw new Error(`${path.join('/')} does nothing`)
  found.click()
}

interface ImageStandIn {
  isEmpty(): boolean
}

class TrayStandIn extends EventEmitter {
  constructor(_icon: ImageStandIn | string) {
    super()
    record.tray = { toolTip: '', menu: [] }
    onPoke('click-tray', () => void this.emit('click', {}))
  }

  setToolTip(toolTip: string): void {
    if (record.tray !== null) record.tray.toolTip = toolTip
  }

  setContextMenu(menu: MenuStandIn | null): void {
    if (record.tray !== null) record.tray.menu = recordOf(menu?.template ?? [])
    onPoke('click-tray-menu', ({ path }) => click(menu, path))
  }

  destroy(): void {
    record.tray = null
  }
}

let lastNotificationId = 0
const notifications = new Map<number, NotificationStandIn>()

interface NotificationTemplate {
  title: string
  body: string
  urgency?: string
}

class NotificationStandIn extends EventEmitter {
  readonly #template: NotificationTemplate

  constructor(template: NotificationTemplate) {
    super()
    this.#template = template
  }

  static isSupported(): boolean {
    return true
  }

  show(): void {
    lastNotificationId += 1
    const { title, body, urgency } = this.#template
    notifications.set(lastNotificationId, this)
    record.notifications.push({ id: lastNotificationId, title, body, urgency: urgency ?? 'normal' })
  }
}

onPoke('click-notification', ({ id }) => {
  const found = notifications.get(id)
  if (found === undefined) throw new Error(`no notification ${id}`)
  found.emit('click', {})
})

const power = new EventEmitter()
onPoke('power', ({ event }) => void power.emit(event))
let lastBlockerId = 0

export const Menu = loud('Menu', MenuStandIn)
export const Tray = loud('Tray', TrayStandIn)
export const Notification = loud('Notification', NotificationStandIn)
export const powerMonitor = loud('powerMonitor', power)

export const powerSaveBlocker = loud('powerSaveBlocker', {
  start: (_type: string): number => {
    lastBlockerId += 1
    record.awake.push(lastBlockerId)
    return lastBlockerId
  },
  stop: (id: number): void => {
    record.awake = record.awake.filter((other) => other !== id)
  },
})

export const nativeImage = loud('nativeImage', {
  createFromPath: (path: string): ImageStandIn => ({ isEmpty: () => !existsSync(path) }),
})

export const nativeTheme = loud('nativeTheme', { themeSource: 'system', shouldUseDarkColors: false })

const display = { id: 1, workArea: { x: 0, y: 0, width: 1600, height: 1000 }, scaleFactor: 1 }
export const screen = loud('screen', {
  getAllDisplays: () => [display],
  getPrimaryDisplay: () => display,
})

export const shell = loud('shell', {
  openExternal: async (url: string): Promise<void> => void record.opened.push(url),
})

export const dialog = loud('dialog', {
  showErrorBox: (title: string, content: string): void => {
    record.dialogs.push({ title, content })
    process.stderr.write(`${title}: ${content}\n`)
  },
})

export const safeStorage = loud('safeStorage', { isEncryptionAvailable: () => false })
