/** For tests: QEMU's end of a monitor, which answers as it is told and remembers what it was asked, in order. */
import { PassThrough, Writable } from 'node:stream'
import { z } from 'zod'
import { QmpSession } from '../../qmp/session.ts'

const request = z.object({
  execute: z.string(),
  arguments: z.record(z.string(), z.unknown()),
  id: z.number(),
})

/** A value, or a promise of one, is the answer; an error is a refusal in its words. */
export type Answer = (args: Record<string, unknown>) => unknown

export class FakeMonitor {
  /** The commands, with what `asked` notes of their arguments. */
  readonly asked: string[] = []
  readonly answers: Record<string, Answer> = {}
  readonly #toHost = new PassThrough()
  #version: readonly [number, number] = [7, 2]
  #clockMs = 1_000_000

  static async open(version: readonly [number, number]): Promise<{ monitor: FakeMonitor; qmp: QmpSession }> {
    const monitor = new FakeMonitor()
    monitor.#version = version
    return { monitor, qmp: await monitor.#session() }
  }

  /** As QEMU's clock goes on between two events. */
  passTime(ms: number): void {
    this.#clockMs += ms
  }

  event(name: string, data: Record<string, unknown> = {}): void {
    const timestamp = {
      seconds: Math.floor(this.#clockMs / 1000),
      microseconds: (this.#clockMs % 1000) * 1000,
    }
    this.#say({ event: name, data, timestamp })
  }

  async #session(): Promise<QmpSession> {
    const output = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        done()
        void this.#answer(request.parse(JSON.parse(chunk.toString('utf8'))))
      },
    })
    const [major, minor] = this.#version
    const qemu = { major, minor, micro: 0 }
    this.#say({ QMP: { version: { qemu, package: '' }, capabilities: [] } })
    return await QmpSession.over({ input: this.#toHost, output }, { timeoutMs: 1000 })
  }

  async #answer({ execute, arguments: args, id }: z.infer<typeof request>): Promise<void> {
    if (execute !== 'qmp_capabilities') this.asked.push(execute)
    try {
      const value = await this.answers[execute]?.(args)
      this.#say({ return: value ?? {}, id })
    } catch (error) {
      const desc = error instanceof Error ? error.message : String(error)
      this.#say({ error: { class: 'GenericError', desc }, id })
    }
  }

  #say(message: unknown): void {
    this.#toHost.write(`${JSON.stringify(message)}\n`)
  }
}
