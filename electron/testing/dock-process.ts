/**
 * A dock in a process of its own, as a person's PC runs it: for the demo, tests and measurements. Promises that
 * `destroy` ends the host, its guests and its folder, whatever state they are in.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { errorFromShape } from '../../shared/errors/index.ts'
import { errorShape } from '../../shared/errors/wdock-error.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { pairDirectly } from '../docks/trust.ts'
import { clearRehearsal } from '../host/checkpoints/rehearse.ts'
import { connectTo, connectToHost, type HostClient, type HostConnection } from '../ipc/connect.ts'
import { resolvePaths } from '../platform/paths.ts'
import { killRecorded } from '../qemu/process.ts'
import { openTunnel, type Tunnel } from './tunnel.ts'
import { WitnessReader } from './witness.ts'

export interface DockProcessOptions {
  /** The folder for everything of this dock; its parent should be short (unix sockets). */
  home: string
  name: string
  /** TCP port for other docks; 0 for any. */
  port: number
  /** The network namespace to run in; null for this one. */
  namespace: string | null
  /** Address to listen on for other docks. */
  bindAddress: string
  discovery: boolean
  /** More environment. */
  env?: Readonly<Record<string, string>>
  /** The program to run: the sources by default, or what was built from them. */
  entry?: string
}

export interface ReadyLine {
  url: string
  pageUrl: string
  token: string
  pid: number
  dataDir: string
}

const sources = join(import.meta.dirname, '..', 'headless.ts')

/** A short-named folder for docks; remove it with `rm` when they are destroyed. */
export async function makeDocksFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'wdock-'))
}

export class DockProcess {
  readonly options: DockProcessOptions
  #child: ChildProcess | null = null
  #connection: HostConnection | null = null
  #tunnel: Tunnel | null = null
  #ready: ReadyLine | null = null

  constructor(options: DockProcessOptions) {
    this.options = options
  }

  get name(): string {
    return this.options.name
  }

  get isRunning(): boolean {
    return this.#connection !== null
  }

  get client(): HostClient {
    if (this.#connection === null) throw new Error(`${this.name} does not run`)
    return this.#connection.client
  }

  get ready(): ReadyLine {
    if (this.#ready === null) throw new Error(`${this.name} does not run`)
    return this.#ready
  }

  get env(): NodeJS.ProcessEnv {
    const { home, name, port, bindAddress, discovery, env } = this.options
    return {
      ...process.env,
      WDOCK_HOME: home,
      WDOCK_NAME: name,
      WDOCK_PORT: String(port),
      WDOCK_BIND: bindAddress,
      ...(discovery ? {} : { WDOCK_DISCOVERY: 'off' }),
      ...env,
    }
  }

  /** The folder of what it keeps. */
  get dataDir(): string {
    return resolvePaths(this.env).data
  }

  /** The folder of a guest's sockets. */
  runDir(guestId: string): string {
    return join(resolvePaths(this.env).runtime, 'guests', guestId)
  }

  /** The folder of a guest's record and top layers. */
  guestDir(guestId: string): string {
    return join(this.dataDir, 'guests', guestId)
  }

  /** Starts the host and connects to it. @throws what keeps the host from starting */
  async start(): Promise<void> {
    const { namespace, entry } = this.options
    const command = [process.execPath, '--disable-warning=ExperimentalWarning', entry ?? sources, '--json']
    const [program = '', ...args] =
      namespace === null ? command : ['ip', 'netns', 'exec', namespace, ...command]
    const child = spawn(program, args, { env: this.env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.#child = child
    this.#ready = await readReadyLine(child)
    const port = Number(new URL(this.#ready.url).port)
    if (namespace !== null) this.#tunnel = await openTunnel(namespace, port, this.options.home)
    const { url, token, pid } = this.#ready
    this.#connection = await connectTo({ version: 1, pid, startTicks: 0, url, token })
  }

  /** Connects to a host of these folders that somebody else started. */
  async attach(): Promise<void> {
    this.#connection = await connectToHost(this.env)
  }

  /** Lets go of a host that somebody else started. */
  async detach(): Promise<void> {
    const connection = this.#connection
    this.#connection = null
    await connection?.close().catch(() => undefined)
  }

  /** SIGTERM, as a logout does. Guests run on. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** SIGKILL, as a crash does. Guests run on. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    const closed = this.#connection?.close()
    this.#connection = null
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      process.kill(this.#ready?.pid ?? child.pid ?? 0, signal)
      await exited
    }
    await closed?.catch(() => undefined)
    await this.#tunnel?.close()
    this.#tunnel = null
    this.#ready = null
  }

  /** Ends the host and every QEMU of it, and removes its folder. */
  async destroy(): Promise<void> {
    await this.#end('SIGKILL')
    const guests = join(resolvePaths(this.env).runtime, 'guests')
    for (const id of await readdir(guests).catch(() => [])) {
      await killRecorded(join(guests, id, 'run.json')).catch(() => false)
    }
    await clearRehearsal(resolvePaths(this.env)).catch(() => undefined)
    await rm(resolvePaths(this.env).runtime, { recursive: true, force: true, maxRetries: 10 })
    await rm(this.options.home, { recursive: true, force: true, maxRetries: 10 })
  }

  async state(): Promise<HostState> {
    return await this.client.state.get()
  }

  async dockId(): Promise<string> {
    return (await this.state()).info.dockId
  }

  /** Waits until the state satisfies `holds`. @returns that state */
  async until(what: string, holds: (state: HostState) => boolean, timeoutMs = 15_000): Promise<HostState> {
    const end = performance.now() + timeoutMs
    for (;;) {
      const state = await this.state()
      if (holds(state)) return state
      if (performance.now() > end) throw new Error(`${this.name}: ${what} did not happen: ${brief(state)}`)
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }

  /** A guest that stands on this dock, or undefined. */
  async guest(guestId: string): Promise<Guest | undefined> {
    const state = await this.state()
    return state.guests.find((guest) => guest.id === guestId && guest.dockId === state.info.dockId)
  }

  async operationEnd(operationId: string, timeoutMs = 120_000): Promise<Operation> {
    const ended = (operation: Operation): boolean =>
      operation.id === operationId &&
      operation.state.kind !== 'running' &&
      operation.state.kind !== 'cancelling'
    const state = await this.until(
      'the end of the operation',
      (each) => each.operations.some(ended),
      timeoutMs,
    )
    const found = state.operations.find(ended)
    if (found === undefined) throw new Error('unreachable')
    return found
  }

  /** Creates and starts the demo guest, and waits until its witness ticks. @returns its id */
  async startDemoGuest(name = 'Demo', memoryMebibytes = 512): Promise<string> {
    const memoryBytes = memoryMebibytes * 1024 ** 2
    const source = { kind: 'demo' } as const
    const wanted = { name, source, cores: 1, memoryBytes, network: 'user' } as const
    const { guestId, operationId } = await this.client.guests.create(wanted)
    if (operationId !== null) await this.operationEnd(operationId)
    await this.client.guests.start({ guestId })
    const witness = await this.witness(guestId)
    await witness.waitForTicks(10, 90_000)
    witness.close()
    return guestId
  }

  /** Listens to the witness of a guest here. Only one may listen at a time. */
  async witness(guestId: string): Promise<WitnessReader> {
    return await WitnessReader.connect(join(this.runDir(guestId), 'witness.sock'))
  }

  /** The process id of a guest's QEMU here, or null. */
  async qemuPid(guestId: string): Promise<number | null> {
    const text = await readFile(join(this.runDir(guestId), 'qemu.pid'), 'utf8').catch(() => '')
    return text === '' ? null : Number(text.trim())
  }
}

/** Two docks that trust each other, not yet started. */
export async function makePairedDocks(a: DockProcess, b: DockProcess): Promise<void> {
  const side = (dock: DockProcess): Parameters<typeof pairDirectly>[0] => ({
    configDir: resolvePaths(dock.env).config,
    name: dock.name,
    ...(dock.options.port === 0
      ? {}
      : { address: { host: dock.options.bindAddress, port: dock.options.port } }),
  })
  await pairDirectly(side(a), side(b))
}

async function readReadyLine(child: ChildProcess): Promise<ReadyLine> {
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = `${stderr}${chunk.toString()}`.slice(-4000)
  })
  if (child.stdout === null) throw new Error('no output to read')
  for await (const line of createInterface({ input: child.stdout })) {
    const parsed: unknown = JSON.parse(line)
    if (typeof parsed !== 'object' || parsed === null) continue
    const failure = errorShape.safeParse('error' in parsed ? parsed.error : null)
    if (failure.success) throw errorFromShape(failure.data)
    child.stdout.resume()
    return parsed as ReadyLine
  }
  throw new Error(`the host ended before it was ready: ${stderr}`)
}

function brief(state: HostState): string {
  const guests = state.guests.map(
    (guest) => `${guest.name} ${guest.state.kind} on ${guest.dockId.slice(0, 6)}`,
  )
  const docks = state.docks.map((dock) => `${dock.name} ${dock.presence.kind}`)
  const operations = state.operations.map((operation) =>
    JSON.stringify({ ...operation, work: operation.work.kind }),
  )
  return [...docks, ...guests, ...operations].join('; ')
}
