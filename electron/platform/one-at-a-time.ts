/** Does things one after the other, in the order in which they were asked for. One that fails holds up nobody. */
export class OneAtATime {
  #last: Promise<unknown> = Promise.resolve()

  /** @returns what `work` gives or throws, once all before it has ended */
  run<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.then(work, work)
    this.#last = next.catch(() => undefined)
    return next
  }

  /** Resolves when what was asked for until now has ended. */
  async idle(): Promise<void> {
    await this.#last
  }
}
