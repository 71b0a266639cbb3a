/**
 * A real dock with a real guest and a real vault, killed at any instant of any work with checkpoints. Promises a verdict
 * in words: that the guest runs on, that every checkpoint which was promised is listed, that each that is listed is
 * whole, and that nothing else is left. `destroy` leaves nothing.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { WdockError } from '../../shared/errors/index.ts'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import { DockProcess, makeDocksFolder } from './dock-process.ts'
import { LastingAzurite } from './lasting-azurite.ts'
import { auditVault, FolderPlace } from './vault-audit.ts'

export const vaultWorks = [
  'make a checkpoint',
  'keep one that is off',
  'restore a copy',
  'restore in place',
  'delete a checkpoint',
  'free space',
] as const
export type VaultWork = (typeof vaultWorks)[number]

export interface VaultCase {
  work: VaultWork
  victim: 'host' | 'store'
  /** When it is killed: 0 at the beginning of the work, 1 at its usual end; null never. */
  at: number | null
  /** When it is killed again: so many ms after it was back. */
  againMs: readonly number[]
  /** Chooses the checkpoint, 0 to 1. */
  which: number
  /** For how long the store stays away. */
  awayMs: number
}

/** What was known of the work when the blow came, or when it had ended. */
interface Seen {
  /** All of a new checkpoint was kept on this PC. */
  kept: boolean
  /** The dock said that this one is deleted. */
  deletedId: string | null
  /** What the work, or the operation that it was, ended with. */
  error: string | null
  ended: boolean
}

/** On a PC that has nothing else to do, about. */
const usuallyMs: Readonly<Record<VaultWork, number>> = {
  'make a checkpoint': 1500,
  'keep one that is off': 400,
  'restore a copy': 2500,
  'restore in place': 3500,
  'delete a checkpoint': 40,
  'free space': 150,
}
const memoryMebibytes = 256
const settleTimeoutMs = 90_000
/** Longer than an upload or a sweep may be silent. */
const patienceMs = 31 * 60_000
/** Longer than what a writer left half written stays in a folder. */
const longMs = 26 * 3600_000
const mostCheckpoints = 4
const longestLine = 400

export class VaultFaultRig {
  readonly dock: DockProcess
  readonly #folder: string
  readonly #place: FolderPlace | LastingAzurite
  /** How long each work takes here, in ms; corrected as it is seen. */
  readonly usualMs: Record<VaultWork, number>
  #guestId = ''
  /** Of a guest that is never switched on. */
  #offId = ''
  #boot = ''
  #phrase = ''

  private constructor(
    folder: string,
    place: FolderPlace | LastingAzurite,
    usualMs: Readonly<Record<VaultWork, number>>,
  ) {
    this.#folder = folder
    this.#place = place
    this.usualMs = { ...usualMs }
    const common = { namespace: null, bindAddress: '127.0.0.1', discovery: false, port: 0, name: 'Dock' }
    this.dock = new DockProcess({ ...common, home: join(folder, 'a') })
  }

  /** Starts everything; the guest runs, and has one checkpoint. */
  static async create(store: 'folder' | 'azurite', usualMs = usuallyMs): Promise<VaultFaultRig> {
    const folder = await makeDocksFolder()
    const path = join(folder, 'vault')
    if (store === 'folder') await mkdir(path)
    const place = store === 'folder' ? new FolderPlace(path) : await LastingAzurite.start(path)
    const rig = new VaultFaultRig(folder, place, usualMs)
    try {
      await rig.dock.start()
      rig.#guestId = await rig.dock.startDemoGuest('Demo', memoryMebibytes)
      rig.#offId = await rig.#createOff()
      rig.#phrase = (await rig.dock.client.vault.create(place.place)).phrase
      rig.#boot = await rig.#bootOf(rig.#guestId)
      await rig.#make()
      return rig
    } catch (error) {
      await rig.destroy()
      throw error
    }
  }

  /** Does every work once without a blow, to know how long it takes. @returns what is wrong */
  async measure(): Promise<string[]> {
    const wrong: string[] = []
    for (const work of vaultWorks) wrong.push(...(await this.strike(undisturbed(work, 0))))
    return wrong
  }

  async destroy(): Promise<void> {
    await this.dock.destroy()
    await this.#place.end()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** The end of the host's log, for whoever looks for the reason. */
  async lastWords(): Promise<string[]> {
    const text = await readFile(join(this.#folder, 'a', 'data', 'host.log'), 'utf8').catch(() => '')
    const lines = text.trim().split('\n').slice(-40)
    return lines.map((line) => line.slice(0, longestLine))
  }

  /** Does a work, strikes, brings back what was killed. @returns what is wrong afterwards */
  async strike(one: VaultCase): Promise<string[]> {
    const { work, victim, at, which } = one
    const target = await this.#prepare(work, which)
    const before = new Set((await this.dock.state()).checkpoints.map(({ id }) => id))
    const seen = nothingSeen()
    const working = this.#follow(work, target.id, seen)
    if (at === null) await working
    else await wait(this.usualMs[work] * at)
    const errorBefore = seen.ended ? seen.error : null
    if (at !== null) await this.#deal(one)
    await working
    const error = victim === 'store' ? seen.error : errorBefore
    const wrong = error === null || isOfTheStore(error) ? [] : [`the work failed: ${error}`]
    return [...wrong, ...(await this.#verdict(work, target, before, seen))]
  }

  async #follow(work: VaultWork, checkpointId: string, seen: Seen): Promise<void> {
    const startedMs = performance.now()
    try {
      await this.#work(work, checkpointId, seen)
      this.usualMs[work] = performance.now() - startedMs
    } catch (error) {
      seen.error = error instanceof WdockError ? error.code : String(error)
    }
    seen.ended = true
  }

  async #deal({ victim, againMs, awayMs }: VaultCase): Promise<void> {
    await this.#kill(victim, awayMs)
    for (const ms of againMs) {
      await wait(ms)
      await this.#kill(victim, awayMs)
    }
  }

  /** A random checkpoint comes back as a copy; then the space of all that is not listed is free. @returns what is wrong */
  async finish(which: number): Promise<string[]> {
    const wrong = await this.strike(undisturbed('restore a copy', which))
    const { damaged } = await this.dock.client.vault.check({ readData: true })
    for (const { checkpointId, error } of damaged) wrong.push(`${checkpointId} is damaged: ${error.message}`)
    await this.dock.stop()
    await this.#place.letPass(longMs)
    await this.dock.start()
    await this.#settled()
    await this.dock.client.vault.sweep()
    return [...wrong, ...(await auditVault(this.#place, this.#phrase, join(this.#folder, 'audit')))]
  }

  async #kill(victim: 'host' | 'store', awayMs: number): Promise<void> {
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

  /** What the work needs, not struck. @returns the checkpoint to be used */
  async #prepare(work: VaultWork, which: number): Promise<Checkpoint> {
    const isFreeing = work === 'free space'
    let list = (await this.dock.state()).checkpoints
    while (list.length > mostCheckpoints || (isFreeing && list.length > 1)) {
      await this.dock.client.checkpoints.remove({ checkpointId: list.at(-1)?.id ?? '' })
      list = (await this.dock.state()).checkpoints
      if (isFreeing) break
    }
    if (isFreeing) await this.#place.letPass(patienceMs)
    const usable = (): Checkpoint[] =>
      list.filter(({ hasMemory }) => work !== 'restore in place' || hasMemory)
    if (usable().length === 0 || (work === 'delete a checkpoint' && list.length < 2)) {
      await this.#make()
      list = (await this.dock.state()).checkpoints
    }
    const found = usable()[Math.floor(which * usable().length)]
    if (found === undefined) throw new Error('there is no checkpoint')
    return found
  }

  async #make(): Promise<void> {
    await this.#work('make a checkpoint', '', nothingSeen())
  }

  async #work(work: VaultWork, checkpointId: string, seen: Seen): Promise<void> {
    const { client } = this.dock
    switch (work) {
      case 'make a checkpoint':
      case 'keep one that is off': {
        const guestId = work === 'make a checkpoint' ? this.#guestId : this.#offId
        const { operationId } = await client.checkpoints.make({ guestId, label: {} })
        await this.#end(operationId)
        seen.kept = true
        await this.#settled()
        return
      }
      case 'restore a copy':
        return await this.#end((await client.checkpoints.restore({ checkpointId, as: 'copy' })).operationId)
      case 'restore in place':
        return await this.#end((await client.checkpoints.restore({ checkpointId, as: 'same' })).operationId)
      case 'delete a checkpoint':
        await client.checkpoints.remove({ checkpointId })
        seen.deletedId = checkpointId
        return
      case 'free space':
        await client.vault.sweep()
    }
  }

  /** @throws what an operation ended with */
  async #end(operationId: string): Promise<void> {
    const { state } = await this.dock.operationEnd(operationId, settleTimeoutMs)
    if (state.kind === 'failed') throw new WdockError(state.error)
    if (state.kind !== 'done') throw new Error(`the operation was ${state.kind}`)
  }

  /** Waits until nothing goes on by itself any more. */
  async #settled(): Promise<HostState> {
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

  async #verdict(
    work: VaultWork,
    target: Checkpoint,
    before: ReadonlySet<string>,
    seen: Seen,
  ): Promise<string[]> {
    const { checkpoints, guests } = await this.#settled()
    const wrong = this.#wrongWithList(work, target.id, before, seen, checkpoints)
    for (const guest of guests) {
      if (guest.id === this.#guestId)
        wrong.push(...(await this.#wrongWithGuest(guest, work, before, checkpoints)))
      else if (guest.id !== this.#offId) wrong.push(...(await this.#wrongWithCopy(guest, work, target)))
      else if (guest.state.kind !== 'stopped') wrong.push(`the other is ${JSON.stringify(guest.state)}`)
    }
    for (const id of [this.#guestId, this.#offId]) {
      if (!guests.some((guest) => guest.id === id)) wrong.push('a guest is gone')
    }
    wrong.push(...(await this.#processesLeft()).map((line) => `still runs: ${line}`))
    // Neither a copy nor a deletion changes a pack; at the end all are read.
    const readData = work !== 'restore a copy' && work !== 'delete a checkpoint'
    const check = await this.dock.client.vault.check({ readData })
    for (const { checkpointId, error } of check.damaged)
      wrong.push(`${checkpointId} is damaged: ${error.message}`)
    if (check.checkpoints < checkpoints.length) wrong.push(`${check.checkpoints} were checked`)
    await rm(join(this.dock.ready.dataDir, 'trash'), { recursive: true, force: true })
    return wrong
  }

  #wrongWithList(
    work: VaultWork,
    target: string,
    before: ReadonlySet<string>,
    seen: Seen,
    checkpoints: readonly Checkpoint[],
  ): string[] {
    const wrong: string[] = []
    const now = new Set(checkpoints.map(({ id }) => id))
    const isNew = checkpoints.filter(({ id }) => !before.has(id))
    for (const { id, place } of checkpoints) if (place.kind !== 'vault') wrong.push(`${id} is ${place.kind}`)
    for (const id of before) {
      const mayBeGone = work === 'delete a checkpoint' && id === target
      if (!now.has(id) && !mayBeGone) wrong.push(`checkpoint ${id} is gone`)
    }
    if (seen.deletedId !== null && now.has(seen.deletedId)) wrong.push('a deleted checkpoint is back')
    if (seen.kept && isNew.length !== 1) wrong.push(`one was kept, ${isNew.length} are listed`)
    const mayMake = ['make a checkpoint', 'keep one that is off', 'restore in place'].includes(work)
    if (isNew.length > (mayMake ? 1 : 0)) wrong.push(`${isNew.length} checkpoints came from nowhere`)
    return wrong
  }

  /**
   * It runs on as it was. But for one that was to be replaced: killed between the old one's end and all the memory of
   * the new one, it is off; then its state until then is among the checkpoints, and brings it back.
   */
  async #wrongWithGuest(
    guest: Guest,
    work: VaultWork,
    before: ReadonlySet<string>,
    checkpoints: readonly Checkpoint[],
  ): Promise<string[]> {
    const { state } = guest
    if (state.kind === 'running') return await this.#wrongInside(guest.id)
    const wrong: string[] = []
    const isTold = state.kind === 'stopped' || isMemoryLost(state)
    if (work !== 'restore in place' || !isTold) wrong.push(`the guest is ${JSON.stringify(state)}`)
    const kept = checkpoints.find(({ id, reason }) => !before.has(id) && reason === 'before-restore')
    if (kept === undefined) wrong.push('the guest is off, and its state until then was not kept')
    const back = checkpoints.find(({ id, hasMemory }) => (kept === undefined ? hasMemory : id === kept.id))
    if (back === undefined) return wrong
    await this.#work('restore in place', back.id, nothingSeen())
    await this.#settled()
    return [...wrong, ...(await this.#wrongInside(guest.id))]
  }

  async #wrongWithCopy(copy: Guest, work: VaultWork, { hasMemory }: Checkpoint): Promise<string[]> {
    const { id, state } = copy
    const wrong = work === 'restore a copy' ? [] : ['there is a copy that nobody asked for']
    if (state.kind === 'running') {
      wrong.push(...(await this.#wrongInside(id)).map((what) => `of the copy, ${what}`))
      await this.dock.client.guests.forceOff({ guestId: id })
    } else if (!(hasMemory ? isMemoryLost(state) : state.kind === 'stopped')) {
      wrong.push(`the copy is ${JSON.stringify(state)}`)
    }
    await this.dock.client.guests.remove({ guestId: id })
    return wrong
  }

  /** What a guest says of itself. */
  async #wrongInside(guestId: string): Promise<string[]> {
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
    if (operationId !== null) await this.#end(operationId)
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
  async #processesLeft(): Promise<string[]> {
    const known = new Set([this.dock.ready.pid, await this.dock.qemuPid(this.#guestId)].map(String))
    const left: string[] = []
    for (const pid of await readdir('/proc')) {
      if (!/^\d+$/.test(pid) || known.has(pid)) continue
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      if (line.includes(join(this.#folder, 'a'))) left.push(line.replaceAll('\0', ' ').slice(0, 200))
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

function isMemoryLost(state: Guest['state']): boolean {
  return state.kind === 'failed' && state.error.code === 'restore.memory_lost'
}

function nothingSeen(): Seen {
  return { kept: false, deletedId: null, error: null, ended: false }
}

function undisturbed(work: VaultWork, which: number): VaultCase {
  return { work, victim: 'host', at: null, againMs: [], which, awayMs: 0 }
}

/** A store that is away may end what cannot wait for it. */
function isOfTheStore(code: string): boolean {
  return code.startsWith('store.')
}
