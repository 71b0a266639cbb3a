/**
 * One direction of a link, in numbers: what is sent goes out at the line's rate, one piece behind the other, and arrives a
 * delay later. Pure; time is what the caller says it is. Promises that pieces arrive in the order in which they were
 * sent, and that no more than the rate crosses in any span, as with a token bucket that holds one piece.
 */

export interface LineShape {
  bitsPerS: number
  delayMs: number
}

export class Line {
  #shape: LineShape
  /** When everything sent so far has gone out. */
  #freeAtMs = Number.NEGATIVE_INFINITY
  #lastArrivalMs = Number.NEGATIVE_INFINITY

  constructor(shape: LineShape) {
    this.#shape = shape
  }

  /** What is on its way arrives as it would have. */
  reshape(shape: LineShape): void {
    this.#shape = shape
  }

  /** Sends a piece now. @returns when all of it has arrived */
  send(nowMs: number, bytes: number): number {
    const { bitsPerS, delayMs } = this.#shape
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + (bytes * 8000) / bitsPerS
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#freeAtMs + delayMs)
    return this.#lastArrivalMs
  }
}
