/**
 * What is killed, and what stays: a real dock as a process, a guest that runs and one that is off, and a store with a
 * vault in it. Promises that whatever was killed is back when `kill` has ended, and that `destroy` leaves nothing.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { WdockError } from '../../shared/errors/index.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import { DockProcess, makeDocksFolder } from './dock-process.ts'
import { LastingAzurite } from './lasting-azurite.ts'
import { auditVault, FolderPlace } from './vault-audit.ts'

const memoryMebibytes = 256
const settleTimeoutMs = 90_000
/** Longer than an upload or a sweep may be silent. */
const patienceMs = 31 * 60_000
/** Longer than what a writer left half written stays in a folder. */
const longMs = 26 * 3600_000
const longestLine = 400

export class VaultFaultBench {
  readonly dock: DockProcess
  readonly #folder: string
  readonly #place: FolderPlace | LastingAzurite
  #guestId = ''
  #offId = ''
  #boot = ''
  #phrase = ''

  private constructor(folder: string, place: FolderPlace | LastingAzurite) {
    this.#folder = folder
    this.#place = place
    const common = { namespace: null, bindAddress: '127.0.0.1', discovery: false, port: 0, name: 'Dock' }
    this.dock = new DockProcess({ ...common, home: join(folder, 'a') })
  }

  /** Starts everything; the guest runs, the vault is empty. */
  static async create(store: 'folder' | 'azurite'): Promise<VaultFaultBench> {
    const folder = await makeDocksFolder()
    const path = join(folder, 'vault')
    if (store === 'folder') await mkdir(path)
    const place = store === 'folder' ? new FolderPlace(path) : await LastingAzurite.start(path)
    const bench = new VaultFaultBench(folder, place)
    try {
      await bench.dock.start()
      bench.#guestId = await bench.dock.startDemoGuest('Demo', memoryMebibytes)
      bench.#offId = await bench.#createOff()
      bench.#phrase = (await bench.dock.client.vault.create(place.place)).phrase
      bench.#boot = await bench.#bootOf(bench.#guestId)
      return bench
    } catch (error) {
      await bench.destroy()
      throw error
    }
  }

  /** The one that runs. */
  get guestId(): string {
    return this.#guestId
  }

  /** Of a guest that is never switched on. */
  get offId(): string {
    return this.#offId
  }

  async destroy(): Promise<void> {
    await this.dock.destroy()
    await this.#place.end()
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10 })
  }

  /** The end of the host's log, for whoever looks for the reason. */
  async lastWords(): Promise<string[]> {
    const text = await readFile(join(this.#folder, 'a', 'data', 'host.log'), 'utf8').catch(() => '')
    const lines = text.trim().split('\n').slice(-40)
    return lines.map((line) => line.slice(0, longestLine))
  }

  /** Kills it and brings it back. @param awayMs for how long the store stays away */
  async kill(victim: 'host' | 'store', awayMs: number): Promise<void> {
    if (victim === 'host') {
      await this.dock.kill()
      await this.dock.start()
      return
    }
    if (this.#place instanceof FolderPlace) throw new Error('a folder cannot be killed')
    await this.#place.kill()
    await wait(awayMs)
    await this.#place.startAgain()
  }

  /** So long passes at the store that works which were given up there count as given up. */
  async losePatience(): Promise<void> {
    await this.#place.letPass(patienceMs)
  }

  /** The space of all that is not listed is free in the end. @returns what is wrong */
  async audit(): Promise<string[]> {
    await this.dock.stop()
    await this.#place.letPass(longMs)
    await this.dock.start()
    await this.settled()
    await this.dock.client.vault.sweep()
    return await auditVault(this.#place, this.#phrase, join(this.#folder, 'audit'))
  }

  /** @throws what an operation ended with */
  async end(operationId: string): Promise<void> {
    const { state } = await this.dock.operationEnd(operationId, settleTimeoutMs)
    if (state.kind === 'failed') throw new WdockError(state.error)
    if (state.kind !== 'done') throw new Error(`the operation was ${state.kind}`)
  }

  /** Waits until nothing goes on by itself any more. */
  async settled(): Promise<HostState> {
    for (const endMs = performance.now() + settleTimeoutMs; ; await wait(50)) {
      const state = await this.dock.until('rest', (now) => restless(now) === null, settleTimeoutMs)
      const left = await this.#leftOver()
      // The list is read when the vault is open.
      const { checkpoints } = await this.dock.client.vault.stats()
      const shown = state.checkpoints.length
      if (shown !== checkpoints) left.push(`${shown} checkpoints are shown, ${checkpoints} are in the vault`)
      if (left.length === 0) return state
      if (performance.now() > endMs) throw new Error(`it does not settle: ${left.join(', ')}`)
    }
  }

  async #leftOver(): Promise<string[]> {
    const list = async (path: string): Promise<string[]> => await readdir(path).catch(() => [])
    const guestFiles = await list(this.dock.guestDir(this.#guestId))
    return [
      ...guestFiles.filter((name) => name.includes('.live')),
      ...(await list(join(this.dock.ready.dataDir, 'vault-spool'))).map((name) => `spool/${name}`),
    ]
  }

  /** What a guest says of itself. @returns what is wrong with it */
  async wrongInside(guestId: string): Promise<string[]> {
    const witness = await this.dock.witness(guestId)
    try {
      const wrong: string[] = []
      const { boot } = await witness.waitForTicks(3, 30_000)
      if (boot !== this.#boot) wrong.push('it was booted anew')
      const { lost, torn, memoryIntact, memoryErrors } = await witness.check()
      if (lost + torn > 0) wrong.push(`${lost} records are lost, ${torn} torn`)
      if (!memoryIntact || memoryErrors > 0) wrong.push('its memory is not what it was')
      return wrong
    } catch (error) {
      return [`it is silent: ${error instanceof WdockError ? error.detail : String(error)}`]
    } finally {
      witness.close()
    }
  }

  async #createOff(): Promise<string> {
    const { guestId, operationId } = await this.dock.client.guests.create({
      ...{ name: 'Off', source: { kind: 'demo' }, cores: 1, network: 'none' },
      memoryBytes: memoryMebibytes * 1024 ** 2,
    })
    if (operationId !== null) await this.end(operationId)
    return guestId
  }

  async #bootOf(guestId: string): Promise<string> {
    const witness = await this.dock.witness(guestId)
    try {
      // Until it has written records and laid out its pattern.
      return (await witness.waitForTicks(150, 50_000)).boot
    } finally {
      witness.close()
    }
  }

  /** Programs that work on the dock's files, but for the host and the guest's QEMU. */
  async processesLeft(): Promise<string[]> {
    const known = new Set([this.dock.ready.pid, await this.dock.qemuPid(this.#guestId)].map(String))
    const left: string[] = []
    for (const pid of await readdir('/proc')) {
      if (!/^\d+$/.test(pid) || known.has(pid)) continue
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      // A rehearsal may begin whenever the host has nothing else to do.
      const isOurs = line.includes(join(this.#folder, 'a')) && !line.includes('/rehearsal/')
      if (isOurs) left.push(line.replaceAll('\0', ' ').slice(0, 200))
    }
    return left
  }
}

/** What still goes on; null when nothing does. */
function restless(state: HostState): string | null {
  if (state.vault.kind !== 'ready') return `the vault is ${state.vault.kind}`
  const going = state.operations.find(({ state: { kind } }) => kind === 'running' || kind === 'cancelling')
  if (going !== undefined) return `there is a ${going.work.kind}`
  const held = state.guests.find(
    ({ operationId, state: { kind } }) => operationId !== null || kind === 'preparing',
  )
  if (held !== undefined) return `${held.name} is held`
  return state.checkpoints.some(({ place }) => place.kind === 'on-its-way') ? 'one is on its way' : null
}
