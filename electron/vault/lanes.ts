/**
 * So many pieces of work at once, what is urgent first. What is not urgent leaves some lanes free, so that something
 * urgent begins at once; and what waits may become urgent.
 */

export interface LaneOptions {
  lanes: number
  /** Of these, for what is not urgent. */
  patientLanes: number
}

export interface Ticket<T> {
  result: Promise<T>
  /** Somebody is waiting for it: it begins as soon as anything urgent would. */
  hurry(): void
}

export class Lanes {
  readonly #options: LaneOptions
  #busy = 0
  readonly #urgent: (() => void)[] = []
  readonly #patient: (() => void)[] = []

  constructor(options: LaneOptions) {
    this.#options = options
  }

  add<T>(isUrgent: boolean, work: () => Promise<T>): Ticket<T> {
    const turn = Promise.withResolvers<void>()
    const begin = turn.resolve
    const queue = isUrgent ? this.#urgent : this.#patient
    queue.push(begin)
    this.#next()
    const hurry = (): void => {
      const at = this.#patient.indexOf(begin)
      if (at < 0) return
      this.#patient.splice(at, 1)
      this.#urgent.push(begin)
      this.#next()
    }
    return { result: this.#run(turn.promise, work), hurry }
  }

  async #run<T>(turn: Promise<void>, work: () => Promise<T>): Promise<T> {
    await turn
    try {
      return await work()
    } finally {
      this.#busy -= 1
      this.#next()
    }
  }

  #next(): void {
    const { lanes, patientLanes } = this.#options
    for (;;) {
      const isUrgent = this.#urgent.length > 0
      if (this.#busy >= (isUrgent ? lanes : patientLanes)) return
      const begin = isUrgent ? this.#urgent.shift() : this.#patient.shift()
      if (begin === undefined) return
      this.#busy += 1
      begin()
    }
  }
}
