/**
 * Stands in for a QEMU that takes a post-copy migration: reads what its source sends, asks for pages, says
 * goodbye. As QEMU does, it fails when a page comes twice. Small guests only: it keeps all that it gets.
 */
import { type Duplex, duplexPair } from 'node:stream'
import type { StreamHead } from '../grammar.ts'
import { fillOf, short, u16, u32, u64 } from './sample-streams.ts'

export class FakeDestination {
  /** To be given to the source. */
  readonly sourceSocket: Duplex
  /** Commands in order; those in the package too. */
  readonly commands: number[] = []
  /** The devices in the package. */
  devices: Buffer | null = null
  /** In order of arrival. */
  readonly arrived: { name: string; page: number; fill: number }[] = []
  /** What went wrong, in words. */
  readonly complaints: string[] = []
  /** The END of ram and EOF are there. */
  hasAll = false
  readonly #socket: Duplex
  readonly #head: StreamHead
  readonly #seen = new Set<string>()
  readonly #waiters: { holds: () => boolean; done: () => void }[] = []
  #bytes = Buffer.alloc(0)
  #at = 0
  #inMemory = false
  #ended = false

  constructor(head: StreamHead) {
    const [ours, theirs] = duplexPair()
    this.#socket = ours
    this.sourceSocket = theirs
    this.#head = head
    ours.on('error', () => {})
    ours.on('data', (piece: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, piece])
      while (this.#at < this.#bytes.length && this.#step());
      for (const waiter of this.#waiters) if (waiter.holds()) waiter.done()
    })
  }

  /** Asks for a page as QEMU does: with the block's name, or without where it is the same as before. */
  request(name: string | null, page: number, bytes = 4096): void {
    const text = name === null ? Buffer.alloc(0) : short(name)
    this.say(name === null ? 4 : 3, Buffer.concat([u64(page * 4096), u32(bytes), text]))
  }

  say(type: number, data: Buffer): void {
    this.#socket.write(Buffer.concat([u16(type), u16(data.length), data]))
  }

  shut(value: number): void {
    this.say(1, u32(value))
  }

  /** As QEMU when it dies. */
  die(): void {
    this.#socket.destroy()
  }

  /** Waits until something holds of what has arrived; a test that waits in vain runs out of time. */
  async until(holds: () => boolean): Promise<void> {
    if (holds()) return
    await new Promise<void>((done) => this.#waiters.push({ holds, done }))
  }

  /** The fill of each page, by `name:page`. */
  get memory(): Map<string, number> {
    return new Map(this.arrived.map(({ name, page, fill }) => [`${name}:${page}`, fill]))
  }

  /** Reads the next thing. @returns false when it is not all there */
  #step(): boolean {
    const from = this.#at
    try {
      if (this.hasAll) throw new Error('something after the end')
      if (this.#inMemory) this.#section()
      else this.#preamble()
      return true
    } catch (error) {
      this.#at = from
      if (!(error instanceof RangeError)) this.complaints.push(String(error))
      return false
    }
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new RangeError('more')
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }

  #preamble(): void {
    const { bytes, configurationBytes } = this.#head
    const commands: number[] = []
    if (!this.#take(configurationBytes).equals(bytes.subarray(0, configurationBytes)))
      throw new Error('no header')
    while (this.#peek() === 8) commands.push(this.#command().which)
    const setup = bytes.subarray(configurationBytes)
    if (!this.#take(setup.length).equals(setup)) throw new Error('no list of blocks')
    let packed: Buffer | null = null
    while (packed === null) {
      const { which, data } = this.#command()
      commands.push(which)
      if (which === 7) packed = this.#take(data.readUInt32BE())
    }
    commands.push(packed.readUInt16BE(1), packed.readUInt16BE(packed.length - 4))
    this.devices = packed.subarray(5, -5)
    this.commands.push(...commands)
    this.#inMemory = true
  }

  #peek(): number {
    const [byte = 0] = this.#take(1)
    this.#at -= 1
    return byte
  }

  #command(): { which: number; data: Buffer } {
    if (this.#take(1)[0] !== 8) throw new Error('no command')
    const which = this.#take(2).readUInt16BE()
    return { which, data: this.#take(this.#take(2).readUInt16BE()) }
  }

  #section(): void {
    const type = this.#take(1)[0]
    if (this.#ended) {
      if (type !== 0) throw new Error('no EOF')
      this.hasAll = true
      return
    }
    const id = this.#take(4).readUInt32BE()
    if ((type !== 2 && type !== 3) || id !== this.#head.ramSectionId)
      throw new Error(`section ${type} of ${id}`)
    const pages = this.#records()
    if (this.#take(1)[0] !== 0x7e || this.#take(4).readUInt32BE() !== id) throw new Error('no footer')
    this.#ended = type === 3
    for (const page of pages) this.#place(page)
  }

  #records(): { name: string; page: number; fill: number }[] {
    const pages: { name: string; page: number; fill: number }[] = []
    for (let name = ''; ; ) {
      const word = Number(this.#take(8).readBigUInt64BE())
      const flags = word % 4096
      if (flags === 0x10) return pages
      if ((flags & 0x20) === 0) name = this.#take(this.#take(1)[0] ?? 0).toString('latin1')
      const content = this.#take((flags & 2) !== 0 ? 1 : 4096)
      const fill = fillOf(content)
      pages.push({ name, page: Math.floor(word / 4096), fill })
    }
  }

  #place(page: { name: string; page: number; fill: number }): void {
    const key = `${page.name}:${page.page}`
    if (this.#seen.has(key)) this.complaints.push(`${key} came twice`)
    this.#seen.add(key)
    this.arrived.push(page)
  }
}
