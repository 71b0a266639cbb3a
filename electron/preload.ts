/**
 * Runs in the page's isolated world, before the page. Promises two things and no more: the page can tell that
 * it runs in Electron, and it can hand one end of a message channel to the main process. The check of who asks
 * is repeated in the main process (`window/ipc-port.ts`). Relies on nothing but Electron, since a sandboxed
 * preload script can load nothing else.
 */
import { contextBridge, ipcRenderer } from 'electron'

const portChannel = 'wdock:port'

contextBridge.exposeInMainWorld('wdock', { face: 'electron', platform: process.platform })

window.addEventListener('message', (event) => {
  if (event.source !== window || event.origin !== window.location.origin) return
  if (!isPortMessage(event.data)) return
  const [port] = event.ports
  if (port !== undefined && event.ports.length === 1) ipcRenderer.postMessage(portChannel, null, [port])
})

function isPortMessage(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'type' in data && data.type === portChannel
}
