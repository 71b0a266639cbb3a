/**
 * What the app did to the desktop, for tests to read, and the line on which they read it and poke: the IPC
 * channel of the child process. Promises to end the app when the test that started it is gone.
 */

/** Everything that tests can see. */
export interface DesktopRecord {
  appMenu: MenuRecord[]
  tray: { toolTip: string; menu: MenuRecord[] } | null
  notifications: { id: number; title: string; body: string; urgency: string }[]
  /** Ids of the power save blockers that are active. */
  awake: number[]
  dialogs: { title: string; content: string }[]
  opened: string[]
  protocolClients: string[]
  sandboxEnabled: boolean
  windows: { visible: boolean; focused: boolean; url: string; webPreferences: Record<string, unknown> }[]
  /** Events that were listened to and that the stand-in never sends. */
  unsentEvents: string[]
  preloadErrors: string[]
}

export interface MenuRecord {
  label: string
  role: string | null
  enabled: boolean
  submenu: MenuRecord[]
}

/** What tests can do, as the desktop would. */
export type Poke =
  | { do: 'click-app-menu'; path: string[] }
  | { do: 'click-tray-menu'; path: string[] }
  | { do: 'click-tray' }
  | { do: 'click-notification'; id: number }
  | { do: 'power'; event: 'suspend' | 'resume' }
  | { do: 'close-window' }
  | { do: 'quit' }

export type TestMessage = { id: number; ask: 'record' } | { id: number; ask: 'poke'; poke: Poke }
export type StandInMessage =
  | { kind: 'page'; cdpUrl: string }
  | { kind: 'answer'; id: number; record: DesktopRecord | null; error: string | null }

export const record: DesktopRecord = {
  appMenu: [],
  tray: null,
  notifications: [],
  awake: [],
  dialogs: [],
  opened: [],
  protocolClients: [],
  sandboxEnabled: false,
  windows: [],
  unsentEvents: [],
  preloadErrors: [],
}

type Handler<Kind extends Poke['do']> = (poke: Extract<Poke, { do: Kind }>) => void
const handlers = new Map<Poke['do'], (poke: Poke) => void>()
let refreshWindows: () => DesktopRecord['windows'] = () => []

/** The part that owns a kind of poke says how it is done. */
export function onPoke<Kind extends Poke['do']>(kind: Kind, handler: Handler<Kind>): void {
  handlers.set(kind, (poke) => handler(poke as Extract<Poke, { do: Kind }>))
}

export function recordWindows(list: () => DesktopRecord['windows']): void {
  refreshWindows = list
}

export function tellTest(message: StandInMessage): void {
  process.send?.(message)
}

function answer(message: TestMessage): StandInMessage {
  try {
    if (message.ask === 'poke') {
      const handler = handlers.get(message.poke.do)
      if (handler === undefined) throw new Error(`nothing to ${message.poke.do}`)
      handler(message.poke)
    }
    record.windows = refreshWindows()
    return { kind: 'answer', id: message.id, record, error: null }
  } catch (error) {
    return { kind: 'answer', id: message.id, record: null, error: String(error) }
  }
}

process.on('message', (message: TestMessage) => tellTest(answer(message)))
process.on('disconnect', () => handlers.get('quit')?.({ do: 'quit' }))
