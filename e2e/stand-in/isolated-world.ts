/**
 * The scripts that run in a page before its own: one in the page's world, which only knows how to receive what
 * `contextBridge` exposes and forgets even that before the page starts; and one in the isolated world, which
 * gives the preload script its `electron` module and carries the ports it sends.
 */

export const worldName = 'Electron Isolated Context'
/** The function by which the isolated world calls this process; the page's world does not have it. */
export const bindingName = 'wdockStandInCall'

/** What the isolated world tells this process. */
export type WorldCall =
  | { kind: 'ipc'; channel: string; message: Encoded; ports: number[] }
  | { kind: 'port-message'; port: number; data: Encoded }
  | { kind: 'port-closed'; port: number }
  | { kind: 'preload-error'; text: string }

/** A structured clone as text; what oRPC sends: strings, bytes, plain data. */
export type Encoded = { bytes: string } | { json: string } | { nothing: true }

export function encode(data: unknown): Encoded {
  if (data === undefined) return { nothing: true }
  if (data instanceof Uint8Array) return { bytes: Buffer.from(data).toString('base64') }
  if (data instanceof ArrayBuffer) return { bytes: Buffer.from(data).toString('base64') }
  return { json: JSON.stringify(data) }
}

export function decode(encoded: Encoded): unknown {
  if ('nothing' in encoded) return undefined
  if ('bytes' in encoded) return new Uint8Array(Buffer.from(encoded.bytes, 'base64'))
  return JSON.parse(encoded.json)
}

/** @param secret an event name that the page cannot know */
export function mainWorldScript(secret: string): string {
  return `(() => {
  if (window !== window.top) return
  const freeze = (value) => {
    if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze)
    return value
  }
  const receive = (event) => {
    if (event.detail === '') return window.removeEventListener('${secret}', receive)
    const { name, value } = JSON.parse(event.detail)
    Object.defineProperty(window, name, { value: freeze(value), enumerable: true })
  }
  window.addEventListener('${secret}', receive)
})()`
}

/** @param platform what the preload script sees as `process.platform` */
export function isolatedWorldScript(secret: string, preload: string, platform: string): string {
  return `(() => {
  // Electron runs a preload script in the top frame only, unless asked otherwise.
  if (window !== window.top) return
  const call = (value) => globalThis.${bindingName}(JSON.stringify(value))
  const tellPage = (detail) => window.dispatchEvent(new CustomEvent('${secret}', { detail }))
  const ports = new Map()
  let lastPort = 0
  const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
  const encode = (data) => {
    if (data === undefined) return { nothing: true }
    if (data instanceof ArrayBuffer) return { bytes: toBase64(new Uint8Array(data)) }
    if (ArrayBuffer.isView(data)) return { bytes: toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) }
    return { json: JSON.stringify(data) }
  }
  const decode = (encoded) => {
    if ('nothing' in encoded) return undefined
    if ('bytes' in encoded) return Uint8Array.from(atob(encoded.bytes), (letter) => letter.charCodeAt(0))
    return JSON.parse(encoded.json)
  }
  const adopt = (port) => {
    lastPort += 1
    const id = lastPort
    ports.set(id, port)
    port.addEventListener('message', (event) => call({ kind: 'port-message', port: id, data: encode(event.data) }))
    port.addEventListener('close', () => call({ kind: 'port-closed', port: id }))
    port.start()
    return id
  }
  globalThis.wdockStandInPort = (id, encoded) => {
    const port = ports.get(id)
    if (encoded !== null) return port?.postMessage(decode(encoded))
    port?.close()
    ports.delete(id)
  }
  const loud = (name, members) => new Proxy(members, {
    get: (target, key) => {
      if (key in target || typeof key === 'symbol') return target[key]
      throw new Error('The stand-in for Electron has no ' + name + '.' + String(key))
    },
  })
  const send = (channel, message, transfer) => {
    const ids = transfer.map(adopt)
    call({ kind: 'ipc', channel, message: encode(message), ports: ids })
  }
  const electron = loud('(in preload)', {
    contextBridge: loud('contextBridge', {
      exposeInMainWorld: (name, value) => {
        const check = (part) => {
          if (typeof part === 'function') throw new Error('The stand-in for Electron exposes plain data only')
          if (typeof part === 'object' && part !== null) Object.values(part).forEach(check)
        }
        check(value)
        tellPage(JSON.stringify({ name, value }))
      },
    }),
    ipcRenderer: loud('ipcRenderer', {
      send: (channel, message) => send(channel, message, []),
      postMessage: (channel, message, transfer = []) => send(channel, message, transfer),
    }),
  })
  const require = (name) => {
    if (name === 'electron' || name === 'electron/renderer') return electron
    throw new Error('module not found: ' + name)
  }
  const module = { exports: {} }
  try {
    ;(function (require, module, exports, process) {
${preload}
    })(require, module, module.exports, { platform: '${platform}', sandboxed: true, contextIsolated: true })
  } catch (error) {
    call({ kind: 'preload-error', text: String(error && error.stack) })
  } finally {
    tellPage('')
  }
})()`
}
