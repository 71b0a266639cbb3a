/**
 * Ties a page's isolated world to `ipcMain`: puts the scripts in before every document, turns calls of the
 * isolated world into IPC events with the frame that really sent them, and carries the messages of ports.
 */
import { randomBytes } from 'node:crypto'
import type { CDPSession, Page } from '@playwright/test'
import { toApp } from './addresses.ts'
import { record } from './desktop-log.ts'
import { ipcHub, PortStandIn } from './ipc-main.ts'
import {
  bindingName,
  decode,
  type Encoded,
  encode,
  isolatedWorldScript,
  mainWorldScript,
  type WorldCall,
  worldName,
} from './isolated-world.ts'

/** A document's isolated world. */
interface World {
  contextId: number
  origin: string
  frameId: string
  ports: Map<number, PortStandIn>
}

/** @param preload the preload script's text; null for a window without one. @returns the page's session. */
export async function bridgePage(page: Page, sender: object, preload: string | null): Promise<CDPSession> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Page.enable')
  if (preload === null) return cdp
  const secret = `wdock-${randomBytes(16).toString('hex')}`
  const bridge = new PageBridge(cdp, sender)
  await bridge.listen()
  await cdp.send('Runtime.addBinding', { name: bindingName, executionContextName: worldName })
  await cdp.send('Page.addScriptToEvaluateOnNewDocument', { source: mainWorldScript(secret) })
  await cdp.send('Page.addScriptToEvaluateOnNewDocument', {
    source: isolatedWorldScript(secret, preload, process.platform),
    worldName,
  })
  return cdp
}

class PageBridge {
  readonly #cdp: CDPSession
  readonly #sender: object
  readonly #worlds = new Map<number, World>()
  #topFrameId = ''

  constructor(cdp: CDPSession, sender: object) {
    this.#cdp = cdp
    this.#sender = sender
  }

  async listen(): Promise<void> {
    const cdp = this.#cdp
    cdp.on('Runtime.executionContextCreated', ({ context }) => {
      if (context.name !== worldName) return
      const frameId: unknown = context.auxData?.frameId
      this.#worlds.set(context.id, {
        contextId: context.id,
        origin: toApp(context.origin),
        frameId: typeof frameId === 'string' ? frameId : '',
        ports: new Map(),
      })
    })
    cdp.on('Runtime.executionContextDestroyed', ({ executionContextId }) => this.#end(executionContextId))
    cdp.on('Runtime.executionContextsCleared', () => {
      for (const id of [...this.#worlds.keys()]) this.#end(id)
    })
    cdp.on('Runtime.bindingCalled', ({ name, payload, executionContextId }) => {
      const world = this.#worlds.get(executionContextId)
      // The text comes from the script in isolated-world.ts; the page's own world has no such function.
      if (name === bindingName && world !== undefined) this.#called(world, JSON.parse(payload))
    })
    await cdp.send('Runtime.enable')
    const { frameTree } = await cdp.send('Page.getFrameTree')
    this.#topFrameId = frameTree.frame.id
  }

  #end(contextId: number): void {
    for (const port of this.#worlds.get(contextId)?.ports.values() ?? []) port.ended()
    this.#worlds.delete(contextId)
  }

  #called(world: World, call: WorldCall): void {
    switch (call.kind) {
      case 'ipc':
        this.#ipc(world, call.channel, call.message, call.ports)
        return
      case 'port-message':
        world.ports.get(call.port)?.received(decode(call.data))
        return
      case 'port-closed':
        world.ports.get(call.port)?.ended()
        world.ports.delete(call.port)
        return
      case 'preload-error':
        record.preloadErrors.push(call.text)
        process.stderr.write(`preload script: ${call.text}\n`)
    }
  }

  #ipc(world: World, channel: string, message: Encoded, portIds: readonly number[]): void {
    const ports = portIds.map((id) => {
      const port = new PortStandIn({
        send: (data) => this.#toPort(world, id, encode(data)),
        close: () => this.#toPort(world, id, null),
      })
      world.ports.set(id, port)
      return port
    })
    const isTop = world.frameId === this.#topFrameId
    const senderFrame = { origin: world.origin, parent: isTop ? null : {} }
    ipcHub.emit(channel, { sender: this.#sender, senderFrame, ports }, decode(message))
  }

  #toPort(world: World, id: number, data: Encoded | null): void {
    this.#cdp
      .send('Runtime.evaluate', {
        expression: `wdockStandInPort(${id}, ${JSON.stringify(data)})`,
        contextId: world.contextId,
      })
      // The document is gone; its ports are told so by the event of its context.
      .catch(() => {})
  }
}
