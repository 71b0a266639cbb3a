/**
 * For how long programs of this machine stood in line for a processor, while this looks on. "Within a second" is a
 * promise about our program; on a machine whose processors are taken by others a second passes before it is asked.
 * Relies on Linux's pressure stall information (Documentation/accounting/psi.rst); without it every wait is 0.
 */
import { readFileSync } from 'node:fs'

const everyMs = 20

export class ProcessorWaits {
  readonly #samples: { atMs: number; waitedMs: number }[] = []
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#look()
    this.#timer = setInterval(() => this.#look(), everyMs)
  }

  /** Of the time between two instants of `performance.now()`, how much somebody waited, in milliseconds. */
  betweenMs(fromMs: number, toMs: number): number {
    this.#look()
    const before = this.#samples.findLast(({ atMs }) => atMs <= fromMs) ?? this.#samples[0]
    const after = this.#samples.find(({ atMs }) => atMs >= toMs) ?? this.#samples.at(-1)
    return (after?.waitedMs ?? 0) - (before?.waitedMs ?? 0)
  }

  end(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    this.#samples.push({ atMs: performance.now(), waitedMs: totalWaitsMs() })
  }
}

function totalWaitsMs(): number {
  try {
    const total = /^some .*total=(\d+)/.exec(readFileSync('/proc/pressure/cpu', 'utf8'))?.[1]
    return Number(total ?? 0) / 1000
  } catch {
    return 0
  }
}
