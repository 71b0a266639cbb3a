/**
 * Two docks for the flows: "Laptop", a host in a process of its own with a window in a browser, and "This PC",
 * whose window is the face under test. On two namespaces joined by a cable where `scripts/e2e.ts` made them, else
 * on one address. Promises that `destroy` leaves nothing behind.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from '@playwright/test'
import { DockProcess, makeDocksFolder } from '../electron/testing/dock-process.ts'
import { attachNamespacePair, type NamespacePair } from '../electron/testing/namespaces.ts'
import { openTunnelThere, type Tunnel } from '../electron/testing/tunnel.ts'
import { chromiumOptions } from './chromium-options.ts'
import { type Face, type FaceKind, openFace } from './face.ts'

const headless = join(import.meta.dirname, '..', 'dist', 'headless.mjs')

export interface TwoDocksOptions {
  /** More environment for This PC. */
  env?: Readonly<Record<string, string>>
}

export class TwoDocks {
  readonly pair: NamespacePair | null
  readonly laptop: DockProcess
  /** The dock of the face under test: its folders, and a client of its host while the face is open. */
  readonly pc: DockProcess
  /** Goes with them. */
  readonly folder: string
  readonly #kind: FaceKind
  #browser: Browser | null = null
  #face: Face | null = null
  #laptopPage: Page | null = null
  readonly #tunnels: Tunnel[] = []

  private constructor(
    folder: string,
    kind: FaceKind,
    pair: NamespacePair | null,
    env: TwoDocksOptions['env'],
  ) {
    this.folder = folder
    this.#kind = kind
    this.pair = pair
    const discovery = pair !== null
    this.laptop = new DockProcess({
      home: join(folder, 'a'),
      name: 'Laptop',
      port: discovery ? 47_315 : 47_441,
      namespace: pair?.a.name ?? null,
      bindAddress: pair?.a.address ?? '127.0.0.1',
      discovery,
      entry: headless,
    })
    this.pc = new DockProcess({
      home: join(folder, 'b'),
      name: 'This PC',
      port: discovery ? 47_315 : 47_442,
      namespace: null,
      bindAddress: pair?.b.address ?? '127.0.0.1',
      discovery,
      entry: headless,
      ...(env ? { env } : {}),
    })
  }

  /** Starts both, not paired. */
  static async open(kind: FaceKind, { env }: TwoDocksOptions = {}): Promise<TwoDocks> {
    const id = process.env.WDOCK_E2E_PAIR
    const pair = id === undefined ? null : attachNamespacePair(id)
    const docks = new TwoDocks(await makeDocksFolder(), kind, pair, env)
    try {
      await docks.laptop.start()
      docks.#browser = await chromium.launch(chromiumOptions())
      docks.#laptopPage = await docks.#browser.newPage({ viewport: { width: 1180, height: 780 } })
      await docks.#laptopPage.goto(docks.laptop.ready.pageUrl)
      await docks.openFace()
      return docks
    } catch (error) {
      await docks.destroy()
      throw error
    }
  }

  /** The window of This PC. */
  get page(): Page {
    if (this.#face === null) throw new Error('the window of This PC is not open')
    return this.#face.page
  }

  /** The window of Laptop. */
  get laptopPage(): Page {
    if (this.#laptopPage === null) throw new Error('the window of Laptop is not open')
    return this.#laptopPage
  }

  get laptopAddress(): string {
    return `${this.laptop.options.bindAddress}:${this.laptop.options.port}`
  }

  async openFace(): Promise<void> {
    this.#face = await openFace({ kind: this.#kind, env: this.pc.env })
    await this.pc.attach()
  }

  /** Kills the host of This PC, window and all, as a power cut would; its QEMUs stay. */
  async killFace(): Promise<void> {
    const face = this.#face
    this.#face = null
    await this.pc.detach()
    if (face === null) return
    process.kill(face.pid, 'SIGKILL')
    await face.close().catch(() => undefined)
  }

  /** Lets Laptop reach, under the same number, a port of This PC that listens on its loopback only. */
  async sharePort(port: number): Promise<void> {
    if (this.pair !== null) {
      this.#tunnels.push(await openTunnelThere(this.pair.a.name, port, this.folder))
    }
  }

  async destroy(): Promise<void> {
    for (const tunnel of this.#tunnels.splice(0)) await tunnel.close()
    // A flow that failed may have left the cable pulled.
    await this.pair?.mend()
    await this.pair?.shape(null)
    await this.pc.detach()
    await this.#face?.close().catch(() => undefined)
    await this.#browser?.close()
    await Promise.allSettled([this.laptop.destroy(), this.pc.destroy()])
    await rm(this.folder, { recursive: true, force: true })
  }
}
