/**
 * A QEMU for the model check: it speaks QMP over streams in memory and its migration over real unix sockets, with
 * the run states and rules of the real one that docking relies on. Promises to tell the world of every moment at
 * which a guest starts or stops to run. It has no disks and no memory; what moves is one line of text.
 */

import { rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Duplex, PassThrough } from 'node:stream'
import { z } from 'zod'
import type { LaunchSpec } from '../../../qemu/command-line.ts'
import { QemuProcess, type RunRecord } from '../../../qemu/process.ts'
import { QmpSession } from '../../../qemu/qmp/session.ts'
import { socketPaths } from '../../../qemu/sockets.ts'

const command = z.object({
  execute: z.string(),
  arguments: z.record(z.string(), z.unknown()),
  id: z.number(),
})

const capabilities = z.array(z.object({ capability: z.string(), state: z.boolean() }))

type RunState = 'running' | 'paused' | 'io-error' | 'inmigrate' | 'finish-migrate' | 'postmigrate'

export class FakeQemu {
  readonly guestId: string
  readonly dir: string
  readonly #onChange: () => void
  readonly #onStep: () => void
  readonly #exited = Promise.withResolvers<{ code: number | null; signal: null }>()
  /** A migration that began goes no further: for what comes in the middle of one. */
  stalls = false
  /** As a destination: the guest is loaded before all of its memory is here, which `memoryArrives` tells. */
  loadsFirst = false
  /** The time of its events, milliseconds since 1970. */
  nowMs: () => number = () => 0
  readonly #capabilities = new Set<string>()
  readonly #nodes = new Set<string>()
  #state: RunState
  #migration = 'none'
  #wasRunning = false
  #monitor: PassThrough | null = null
  #server: Server | null = null
  #socket: Socket | null = null
  #alive = true

  constructor(spec: LaunchSpec, onChange: () => void, onStep: () => void) {
    this.guestId = spec.definition.id
    this.dir = spec.dir
    this.#onChange = onChange
    this.#onStep = onStep
    this.#state = spec.incoming ? 'inmigrate' : 'paused'
  }

  get alive(): boolean {
    return this.#alive
  }

  get running(): boolean {
    return this.#alive && this.#state === 'running'
  }

  get state(): string {
    return `${this.#state}/${this.#migration}`
  }

  /** A monitor connection as a host has it. `frozen` says whether that host still lives. */
  async attach(frozen: () => boolean): Promise<QemuProcess> {
    const input = new PassThrough()
    const output = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        done()
        for (const line of chunk.toString().split('\n').filter(Boolean)) {
          if (!frozen()) setImmediate(() => this.#onCommand(line, input, frozen))
        }
      },
    })
    this.#monitor = input
    const qemu = { major: 7, minor: 2, micro: 0 }
    input.write(`${JSON.stringify({ QMP: { version: { qemu, package: '' }, capabilities: [] } })}\n`)
    const qmp = await QmpSession.over({ input, output }, { timeoutMs: 5000 })
    // An identity that no process has: nothing real is ever signalled.
    const identity = { pid: process.pid, startTicks: -1 }
    return new LivingFake({ fake: this, frozen }, this.#record(), qmp, this.#exited.promise, identity)
  }

  /** SIGKILL. */
  kill(): void {
    if (!this.#alive) return
    this.#alive = false
    this.#onChange()
    this.#server?.close()
    this.#socket?.destroy()
    this.#exited.resolve({ code: null, signal: null })
    this.#monitor?.end()
  }

  /** A migration has sent everything, and nobody has let the guest go on yet. */
  freeze(): void {
    this.#set('postmigrate')
    this.#setMigration('completed')
    this.#socket?.end()
  }

  /** A write of the guest finds no space, as on a full disk: QEMU says so and stops the guest. */
  runOutOfSpace(): void {
    const data = {
      device: '',
      'node-name': 'disk0',
      operation: 'write',
      action: 'stop',
      nospace: true,
      reason: '',
    }
    this.#event('BLOCK_IO_ERROR', data)
    this.#set('io-error')
  }

  #record(): RunRecord {
    const { guestId, dir } = this
    const rest = { bootId: 'fake', definitionHash: '', incoming: false, startedAt: '' }
    return { version: 1, guestId, identity: null, dir, ...rest }
  }

  #set(state: RunState): void {
    const was = this.#state
    this.#state = state
    this.#onChange()
    if (was === 'running' && state !== 'running') this.#event('STOP', {})
    if (was !== 'running' && state === 'running') this.#event('RESUME', {})
  }

  #setMigration(status: string): void {
    this.#migration = status
    this.#event('MIGRATION', { status })
  }

  #event(event: string, data: Record<string, unknown>): void {
    const timestamp = { seconds: Math.floor(this.nowMs() / 1000), microseconds: 0 }
    if (this.#monitor?.writable) this.#monitor.write(`${JSON.stringify({ event, data, timestamp })}\n`)
  }

  #onCommand(line: string, monitor: PassThrough, frozen: () => boolean): void {
    const { execute, arguments: args, id } = command.parse(JSON.parse(line))
    this.#onStep()
    if (!this.#alive || frozen() || !monitor.writable) return
    let answer: object
    try {
      answer = { return: this.#run(execute, args), id }
    } catch (error) {
      answer = { error: { class: 'GenericError', desc: String(error) }, id }
    }
    this.#onStep()
    if (monitor.writable && !frozen()) monitor.write(`${JSON.stringify(answer)}\n`)
  }

  #run(execute: string, args: Record<string, unknown>): unknown {
    switch (execute) {
      case 'query-status':
        return { running: this.#state === 'running', status: this.#state }
      case 'query-named-block-nodes':
        return [...this.#nodes].map((name) => ({ 'node-name': name, file: '', ro: false }))
      case 'blockdev-add':
        this.#nodes.add(String(args['node-name']))
        return {}
      case 'blockdev-del':
        this.#nodes.delete(String(args['node-name']))
        return {}
      case 'migrate-set-capabilities':
        this.#setCapabilities(args)
        return {}
      case 'query-migrate-capabilities':
        return [...this.#capabilities].map((capability) => ({ capability, state: true }))
      case 'query-migrate-parameters':
        return { 'max-bandwidth': 0, 'downtime-limit': 300 }
      case 'query-cpus-fast':
        return []
      case 'query-block':
        return [{ device: '', 'io-status': this.#state === 'io-error' ? 'nospace' : 'ok' }]
      case 'query-migrate':
        return this.#migration === 'none' ? {} : { status: this.#migration }
      case 'cont':
        if (this.#state === 'inmigrate') throw new Error('the model forbids cont before arrival')
        if (this.#state === 'finish-migrate') throw new Error('cont while a migration finishes')
        this.#set('running')
        return {}
      case 'stop':
        this.#set('paused')
        return {}
      case 'quit':
        setImmediate(() => this.kill())
        return {}
      case 'migrate':
        this.#send(String(args.uri).replace('unix:', ''))
        return {}
      case 'migrate-incoming':
        this.#listen(String(args.uri).replace('unix:', ''))
        return {}
      case 'migrate_cancel':
        this.#failMigration('cancelled')
        return {}
      case 'migrate-continue':
        if (this.#migration !== 'pre-switchover') throw new Error('not at pre-switchover')
        this.#setMigration('device')
        this.#socket?.write('devices\n')
        return {}
      default:
        return {}
    }
  }

  #send(path: string): void {
    if (this.#migration !== 'none') this.#migration = 'none'
    const socket = connect(path)
    this.#socket = socket
    this.#wasRunning = this.#state === 'running'
    this.#setMigration('setup')
    socket.on('error', () => undefined)
    socket.on('close', () => this.#failMigration('failed'))
    socket.on('connect', () => {
      if (this.#migration !== 'setup') return
      this.#setMigration('active')
      socket.write('memory\n')
      setImmediate(() => {
        if (this.#migration !== 'active' || this.stalls) return
        this.#set('finish-migrate')
        if (this.#capabilities.has('pause-before-switchover')) this.#setMigration('pre-switchover')
        else this.#sendAll(socket)
      })
    })
    socket.on('data', (chunk: Buffer) => {
      if (!chunk.toString().includes('loaded') || this.#migration !== 'device') return
      this.#set('postmigrate')
      this.#setMigration('completed')
      socket.end()
    })
  }

  /** Nobody answers: a receiver that keeps what it gets. */
  #sendAll(socket: Socket): void {
    socket.write('devices\n')
    this.#set('postmigrate')
    this.#setMigration('completed')
    socket.end()
  }

  #setCapabilities(args: Record<string, unknown>): void {
    for (const { capability, state } of capabilities.parse(args.capabilities)) {
      if (state) this.#capabilities.add(capability)
      else this.#capabilities.delete(capability)
    }
  }

  /** Whatever ends a migration before its completion brings the guest back, as QEMU does. */
  #failMigration(status: 'failed' | 'cancelled'): void {
    if (!this.#alive || !['setup', 'active', 'pre-switchover', 'device'].includes(this.#migration)) return
    if (this.#state === 'finish-migrate') this.#set(this.#wasRunning ? 'running' : 'paused')
    this.#setMigration(status)
    this.#socket?.destroy()
  }

  memoryArrives(): void {
    this.#setMigration('completed')
  }

  #listen(path: string): void {
    this.#migration = 'setup'
    const server = createServer((socket) => {
      this.#socket = socket
      let text = ''
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        if (!text.includes('devices') || this.#state !== 'inmigrate') return
        this.#set('paused')
        this.#setMigration(this.loadsFirst ? 'postcopy-active' : 'completed')
        socket.write('loaded\n')
        server.close()
      })
      // A stream that ends before everything has arrived ends QEMU.
      socket.on('close', () => {
        if (this.#state === 'inmigrate') this.kill()
      })
    })
    this.#server = server
    server.on('error', () => this.kill())
    void rm(path, { force: true }).then(() => server.listen(path))
  }
}

interface Hold {
  fake: FakeQemu
  frozen: () => boolean
}

/** Whether the simulated process lives is the simulation's to say. */
class LivingFake extends QemuProcess {
  readonly #hold: Hold

  constructor(
    hold: Hold,
    record: RunRecord,
    qmp: QmpSession,
    exited: Promise<{ code: number | null; signal: null }>,
    identity: { pid: number; startTicks: number },
  ) {
    super(record, identity, qmp, exited)
    this.#hold = hold
  }

  override get isRunning(): boolean {
    return this.#hold.fake.alive
  }

  override async quit(): ReturnType<QemuProcess['quit']> {
    const { fake, frozen } = this.#hold
    // A host that is dead does nothing any more.
    if (frozen()) return await new Promise(() => undefined)
    fake.kill()
    await rm(socketPaths(fake.dir).incoming, { force: true })
    return await this.waitForExit()
  }
}
