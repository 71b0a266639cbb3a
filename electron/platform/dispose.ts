/**
 * An undo stack: what was acquired is given back in reverse order, every step is tried even when another
 * failed, and the failures are collected. An operation that succeeds forgets the stack.
 */

export type DisposeStep = () => void | Promise<void>

export interface DisposeFailure {
  name: string
  error: unknown
}

export class Disposer {
  #steps: { name: string; step: DisposeStep }[] = []
  #running: Promise<DisposeFailure[]> | null = null

  /** The names of the steps still on the stack, oldest first. */
  get pending(): string[] {
    return this.#steps.map((entry) => entry.name)
  }

  /**
   * Puts a step on top of the stack. @returns a function that takes exactly this step off again, for what was
   * given back early or passed on.
   */
  add(name: string, step: DisposeStep): () => void {
    const entry = { name, step }
    this.#steps.push(entry)
    return () => {
      this.#steps = this.#steps.filter((other) => other !== entry)
    }
  }

  /** Drops every step without running it: the operation succeeded. */
  commit(): void {
    this.#steps = []
  }

  /** The same as `commit`, in the words of an undo stack. */
  forget(): void {
    this.commit()
  }

  /**
   * Runs the steps, newest first, one after the other. Steps added meanwhile run too. Calling it again while
   * it runs joins the same run. @returns the failures, empty when all went well; never rejects.
   */
  run(): Promise<DisposeFailure[]> {
    this.#running ??= this.#drain().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #drain(): Promise<DisposeFailure[]> {
    const failures: DisposeFailure[] = []
    for (let entry = this.#steps.pop(); entry; entry = this.#steps.pop()) {
      try {
        await entry.step()
      } catch (error) {
        failures.push({ name: entry.name, error })
      }
    }
    return failures
  }
}
