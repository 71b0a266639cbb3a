/** For tests: images, QEMU's tools and a QEMU without a machine, all in a folder that `end` removes. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'vitest'
import { QmpSession } from '../qemu/qmp/session.ts'

export class QemuToolBench {
  readonly dir: string
  readonly children: ChildProcess[] = []
  readonly #sessions: QmpSession[] = []
  /** Run at the end, the latest first. */
  readonly ends: (() => Promise<void>)[] = []

  private constructor(dir: string) {
    this.dir = dir
  }

  static async make(): Promise<QemuToolBench> {
    return new QemuToolBench(await mkdtemp(join(tmpdir(), 'nbq-')))
  }

  at(name: string): string {
    return join(this.dir, name)
  }

  /** Makes a qcow2. */
  create(name: string, size: string, ...options: string[]): string {
    const path = this.at(name)
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...options, path, size])
    return path
  }

  /** Runs commands of qemu-io on a qcow2. */
  io(name: string, ...commands: string[]): void {
    execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), this.at(name)])
  }

  /** The whole content of a qcow2, as qemu-img reads it. */
  contentOf(path: string): Buffer {
    execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, this.at('content')])
    return readFileSync(this.at('content'))
  }

  start(command: string, ...args: string[]): void {
    this.children.push(spawn(command, args, { stdio: 'ignore' }))
  }

  /** Runs a tool that talks to this process. @returns what it printed */
  async run(command: string, ...args: string[]): Promise<string> {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.children.push(child)
    let output = ''
    child.stdout.on('data', (text) => {
      output += text
    })
    const [code] = await once(child, 'close')
    expect(code, output).toBe(0)
    return output
  }

  /** @returns the socket at which it serves */
  async startQemuNbd(path: string, ...options: string[]): Promise<string> {
    const socketPath = this.at('nbd.sock')
    this.start('qemu-nbd', '-r', '-t', '-e', '4', '-k', socketPath, ...options, path)
    while (!existsSync(socketPath)) await wait(10)
    return socketPath
  }

  /** A QEMU without a machine. */
  async startQemu(): Promise<QmpSession> {
    const path = this.at('qmp.sock')
    const none = ['-machine', 'none', '-nodefaults', '-display', 'none']
    this.start('qemu-system-x86_64', ...none, '-qmp', `unix:${path},server=on,wait=off`)
    for (;;) {
      const session = await QmpSession.connect(path, { timeoutMs: 10_000 }).catch(() => null)
      if (session !== null) {
        this.#sessions.push(session)
        return session
      }
      await wait(20)
    }
  }

  /** Writes in QEMU, as a guest would. */
  async writeInQemu(qmp: QmpSession, node: string, what: string): Promise<void> {
    const command = `qemu-io ${node} "write ${what}"`
    expect(await qmp.execute('human-monitor-command', { 'command-line': command })).toBe('')
  }

  async end(): Promise<void> {
    for (const end of this.ends.reverse()) await end()
    for (const session of this.#sessions) session.close()
    for (const child of this.children) await kill(child)
    await rm(this.dir, { recursive: true, force: true })
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
