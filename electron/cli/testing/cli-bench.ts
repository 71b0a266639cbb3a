/** For tests: `wdock` against a host in memory, with a person who answers as the test says. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectToHost } from '../../ipc/connect.ts'
import { type LocalServer, startLocalServer } from '../../ipc/local-server.ts'
import { FakeHost } from '../../ipc/testing/fake-service.ts'
import { resolvePaths } from '../../platform/paths.ts'
import type { HostPage, Io } from '../command.ts'
import { runWdock } from '../run.ts'

export interface Ran {
  code: number
  out: string
  notes: string
  windows: HostPage[]
}

export interface Situation {
  /** To every question; nobody can be asked without it. */
  answer?: string
  /** Called once somebody waits for Ctrl-C, with what presses it. */
  onReady?: (interrupt: () => void) => void
  /** Notes go to a terminal. */
  isTerminal?: boolean
}

export class CliBench {
  readonly root: string
  readonly host = new FakeHost()
  server: LocalServer | null = null

  private constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'wdock-cli-'))
  }

  static async start(): Promise<CliBench> {
    const bench = new CliBench()
    const runtimeDir = resolvePaths({ WDOCK_HOME: bench.root }).runtime
    bench.server = await startLocalServer({ service: bench.host.service(), pageDir: null, runtimeDir })
    return bench
  }

  async end(): Promise<void> {
    await this.endServer()
    rmSync(resolvePaths({ WDOCK_HOME: this.root }).runtime, { recursive: true, force: true })
    rmSync(this.root, { recursive: true, force: true })
  }

  async endServer(): Promise<void> {
    await this.server?.close()
    this.server = null
  }

  async wdock(words: readonly string[], situation: Situation = {}): Promise<Ran> {
    const ran: Ran = { code: 0, out: '', notes: '', windows: [] }
    const io: Io = {
      env: {},
      print: (text) => {
        ran.out += `${text}\n`
      },
      note: (text) => {
        ran.notes += text
      },
      isTerminal: situation.isTerminal ?? false,
      ask: async (question) => {
        ran.notes += question
        return situation.answer ?? null
      },
      onInterrupt: (listener) => {
        situation.onReady?.(listener)
        return () => {}
      },
      connect: () => connectToHost({ WDOCK_HOME: this.root }),
      runAgent: async () => 0,
      openWindow: async (page) => {
        ran.windows.push(page)
      },
    }
    ran.code = await runWdock(words, io, '0.1.0')
    return ran
  }
}
