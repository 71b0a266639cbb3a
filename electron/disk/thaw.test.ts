import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeMonitor } from '../qemu/capture/testing/fake-monitor.ts'
import type { QmpSession } from '../qemu/qmp/session.ts'
import { overlayFiles } from './overlay.ts'
import { thawDisks } from './thaw.ts'

/** QEMU's blocks, as far as a thaw sees them, with a guest that writes on. */
class FakeBlocks {
  readonly monitor: FakeMonitor
  readonly qmp: QmpSession
  status = 'running'
  nodes = ['disk0', 'disk0-live']
  root = 'disk0-live'
  job: { id: string; status: string; error?: string } | null = null
  /** The guest writes so much that the job never catches up while it runs. */
  writesWithoutEnd = false
  /** How the job ends when it is told to go on. */
  failsWith: string | null = null
  /** What was there at the moment at which the job was told to go on. */
  filesAtPivot: string[] = []
  readonly #folder: string

  private constructor(monitor: FakeMonitor, qmp: QmpSession, folder: string) {
    this.monitor = monitor
    this.qmp = qmp
    this.#folder = folder
    const { answers } = monitor
    answers['query-block-exports'] = () => []
    answers['query-status'] = () => ({ running: this.status === 'running', status: this.status })
    answers['query-named-block-nodes'] = () =>
      this.nodes.map((name) => ({ 'node-name': name, file: '', ro: false }))
    answers['query-block'] = () => [{ inserted: { 'node-name': this.root } }]
    answers['query-jobs'] = () => (this.job === null ? [] : [this.job])
    answers['block-commit'] = (args) => this.#become(String(args['job-id']), 'ready')
    answers['job-complete'] = ({ id }) => {
      if (!this.writesWithoutEnd) this.#become(String(id), 'pending')
    }
    answers['job-finalize'] = ({ id }) => this.#pivot(String(id))
    answers['job-dismiss'] = () => {
      this.job = null
    }
    answers['blockdev-add'] = (args) => {
      this.nodes.push(String(args['node-name']))
    }
    answers['blockdev-del'] = (args) => {
      this.nodes = this.nodes.filter((name) => name !== args['node-name'])
    }
    answers.stop = () => {
      this.status = 'paused'
      if (this.job !== null) this.#become(this.job.id, 'pending')
    }
    answers.cont = () => {
      this.status = 'running'
    }
  }

  static async start(folder: string): Promise<FakeBlocks> {
    const { monitor, qmp } = await FakeMonitor.open([7, 2])
    return new FakeBlocks(monitor, qmp, folder)
  }

  #become(id: string, status: string): void {
    this.job = { id, status, ...(this.failsWith === null ? {} : { error: this.failsWith }) }
    this.monitor.event('JOB_STATUS_CHANGE', { id, status })
  }

  async #pivot(id: string): Promise<void> {
    this.filesAtPivot = await readdir(this.#folder)
    if (this.failsWith === null) this.root = 'disk0'
    this.#become(id, 'concluded')
  }

  get done(): string[] {
    const watched = ['stop', 'cont', 'block-commit', 'job-complete', 'job-finalize', 'job-dismiss']
    return this.monitor.asked.filter((command) => watched.includes(command))
  }
}

let folder: string
let qemu: FakeBlocks
const disk = () => ({ nodeName: 'disk0', topPath: join(folder, 'top.qcow2') })
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdt-'))
  await writeFile(join(folder, 'top.live.qcow2'), '')
  qemu = await FakeBlocks.start(folder)
})
afterEach(async () => {
  qemu.qmp.close()
  await rm(folder, { recursive: true, force: true })
})

describe('a thaw', () => {
  it('has marked the overlay as out of date before the guest can write to its disk again', async () => {
    await thawDisks(qemu.qmp, [disk()])
    expect(qemu.done).toEqual(['block-commit', 'job-complete', 'job-finalize', 'job-dismiss'])
    expect(qemu.filesAtPivot).toEqual(['top.done.qcow2'])
    expect(await readdir(folder)).toEqual([])
    expect(qemu.nodes).toEqual(['disk0'])
  })

  it('stops a guest that writes without end, for as long as the last copy takes', async () => {
    qemu.writesWithoutEnd = true
    await thawDisks(qemu.qmp, [disk()], { catchUpMs: 1 })
    expect(qemu.done).toEqual(['block-commit', 'job-complete', 'stop', 'job-finalize', 'job-dismiss', 'cont'])
    expect(qemu.status).toBe('running')
    expect(qemu.nodes, 'the note is gone').toEqual(['disk0'])
  })

  it('stops no guest that is paused already', async () => {
    qemu.writesWithoutEnd = true
    qemu.status = 'paused'
    const thaw = thawDisks(qemu.qmp, [disk()], { catchUpMs: 1 })
    await expect.poll(() => qemu.monitor.asked).toContain('query-status')
    qemu.monitor.answers.stop?.({})
    await thaw
    expect(qemu.done).not.toContain('stop')
    expect(qemu.status).toBe('paused')
  })

  it('that fails at the last moment leaves the overlay to be used, and is done by another one', async () => {
    qemu.failsWith = 'No space left on device'
    await expect(thawDisks(qemu.qmp, [disk()])).rejects.toMatchObject({
      code: 'disk.thaw_failed',
      detail: 'No space left on device',
    })
    expect(await readdir(folder)).toEqual(['top.live.qcow2'])
    expect(qemu.job).toBeNull()
    qemu.failsWith = null
    await thawDisks(qemu.qmp, [disk()])
    expect(await readdir(folder)).toEqual([])
  })

  it('that finds a pending job and a failed one goes on from there', async () => {
    qemu.job = { id: 'thaw-disk0', status: 'pending' }
    await thawDisks(qemu.qmp, [disk()])
    expect(qemu.done).toEqual(['job-finalize', 'job-dismiss'])
    expect(qemu.filesAtPivot).toEqual(['top.done.qcow2'])

    qemu.nodes = ['disk0', 'disk0-live']
    qemu.root = 'disk0-live'
    await writeFile(join(folder, 'top.done.qcow2'), '')
    qemu.job = { id: 'thaw-disk0', status: 'concluded', error: 'it failed then' }
    await thawDisks(qemu.qmp, [disk()])
    expect(qemu.root).toBe('disk0')
    expect(await readdir(folder)).toEqual([])
  })

  it('removes an overlay that was never used, and does nothing to a disk without one', async () => {
    qemu.root = 'disk0'
    await thawDisks(qemu.qmp, [disk()])
    expect(qemu.nodes).toEqual(['disk0'])
    await thawDisks(qemu.qmp, [disk()])
    expect(qemu.done).toEqual([])
    expect(existsSync(overlayFiles(disk().topPath).live)).toBe(false)
  })

  it('ends when QEMU is gone, and touches no file then', async () => {
    qemu.monitor.answers['job-complete'] = () => {
      setImmediate(() => qemu.qmp.close())
      return new Promise(() => {})
    }
    await expect(thawDisks(qemu.qmp, [disk()])).rejects.toMatchObject({ code: 'qemu.gone' })
    expect(await readdir(folder)).toEqual(['top.live.qcow2'])
  })
})
