/** `electron.ipcMain` and the ports that pages transfer to it. */
import { EventEmitter } from 'node:events'
import { loud } from './loud.ts'

/** The other end of a port, in the isolated world of a page. */
export interface PortWire {
  send(data: unknown): void
  close(): void
}

/** `MessagePortMain`: messages wait until `start`. */
export class PortStandIn extends EventEmitter {
  readonly #wire: PortWire
  #waiting: unknown[] | null = []
  #closed = false

  constructor(wire: PortWire) {
    super()
    this.#wire = wire
  }

  start(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = null
    for (const data of waiting) this.emit('message', { data, ports: [] })
  }

  postMessage(data: unknown, transfer: readonly unknown[] = []): void {
    if (transfer.length > 0) throw new Error('The stand-in for Electron transfers no port to a page')
    if (!this.#closed) this.#wire.send(data)
  }

  close(): void {
    if (this.#closed) return
    this.#wire.close()
    this.ended()
  }

  /** A message came from the page. */
  received(data: unknown): void {
    if (this.#waiting === null) this.emit('message', { data, ports: [] })
    else this.#waiting.push(data)
  }

  /** The page's end is gone. */
  ended(): void {
    if (this.#closed) return
    this.#closed = true
    this.emit('close')
  }
}

/** The plain emitter, for the stand-in's own use. */
export const ipcHub = new EventEmitter()
export const ipcMain = loud('ipcMain', ipcHub)
