import { EventEmitter } from 'node:events'
import type { IpcMain, WebContents } from 'electron'
import { expect, it } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { acceptPorts, portChannel } from './ipc-port.ts'

class Port extends EventEmitter {
  closed = false
  close(): void {
    this.closed = true
  }
}

const ours = { name: 'ours' }

/** What comes of a message with this sender. */
function send(change: { sender?: object; senderFrame?: object | null; ports?: Port[] }) {
  const ipc = new EventEmitter()
  const served: unknown[] = []
  acceptPorts(ipc as unknown as IpcMain, {
    isOurs: (contents) => contents === (ours as unknown as WebContents),
    serve: (port) => served.push(port),
    log: silentLog,
  })
  const ports = change.ports ?? [new Port()]
  ipc.emit(portChannel, {
    sender: ours,
    senderFrame: { origin: 'app://wdock', parent: null },
    ...change,
    ports,
  })
  return { served: served.length, closed: ports.filter((port) => port.closed).length }
}

it('serves the port of our own page', () => {
  expect(send({})).toEqual({ served: 1, closed: 0 })
})

it.each([
  ['another window', { sender: {} }],
  ['a frame inside the page', { senderFrame: { origin: 'app://wdock', parent: {} } }],
  ['a foreign origin', { senderFrame: { origin: 'https://example.invalid', parent: null } }],
  ['an origin that begins like ours', { senderFrame: { origin: 'app://wdock.invalid', parent: null } }],
  ['a frame that is gone', { senderFrame: null }],
])('closes the port of %s', (_name, change) => {
  expect(send(change)).toEqual({ served: 0, closed: 1 })
})

it('takes one port, no more and no less', () => {
  expect(send({ ports: [] })).toEqual({ served: 0, closed: 0 })
  expect(send({ ports: [new Port(), new Port()] })).toEqual({ served: 0, closed: 2 })
})
