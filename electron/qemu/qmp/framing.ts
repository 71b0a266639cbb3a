/**
 * QMP's framing: one JSON value a line (docs/interop/qmp-spec). Promises whole lines whatever the pieces they
 * arrive in, characters of several bytes unharmed, and an error instead of unbounded memory.
 */

/** No answer of QEMU comes near this; `query-qmp-schema` is 0.3 MB. */
const maxLineBytes = 64 * 1024 * 1024

export class LineTooLong extends Error {
  constructor(limitBytes: number) {
    super(`a line is longer than ${limitBytes} bytes`)
    this.name = 'LineTooLong'
  }
}

const newline = 0x0a

export class LineSplitter {
  readonly #limitBytes: number
  #parts: Buffer[] = []
  #partBytes = 0

  constructor(limitBytes: number = maxLineBytes) {
    this.#limitBytes = limitBytes
  }

  /** Bytes of a line that has not ended yet. */
  get pendingBytes(): number {
    return this.#partBytes
  }

  /**
   * Takes the next piece. @returns the lines that ended in it, without line ends; empty ones are left out.
   * @throws LineTooLong
   */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = []
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let start = 0
    for (;;) {
      const end = bytes.indexOf(newline, start)
      if (end < 0) break
      this.#keep(bytes.subarray(start, end))
      const line = this.#take()
      if (line !== '') lines.push(line)
      start = end + 1
    }
    if (start < bytes.length) this.#keep(Buffer.from(bytes.subarray(start)))
    return lines
  }

  #keep(part: Buffer): void {
    this.#partBytes += part.length
    if (this.#partBytes > this.#limitBytes) throw new LineTooLong(this.#limitBytes)
    if (part.length > 0) this.#parts.push(part)
  }

  /** Decoded only once the line is whole, so that no character is cut in two. */
  #take(): string {
    const line = this.#parts.length === 1 ? this.#parts[0]?.toString('utf8') : undefined
    const text = line ?? Buffer.concat(this.#parts).toString('utf8')
    this.#parts = []
    this.#partBytes = 0
    return text.endsWith('\r') ? text.slice(0, -1) : text
  }
}
