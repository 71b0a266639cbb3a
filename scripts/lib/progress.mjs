/**
 * Short progress lines on stderr, so that stdout stays free for what a program prints for others.
 * Needs nothing but Node 20.
 */

/** @param {string} topic @param {string} text one line, without a period */
export function say(topic, text) {
  process.stderr.write(`${topic}: ${text}\n`)
}

/** A failure that a person can act on: its message is shown as it is, without a stack. */
export class Advice extends Error {
  /** @param {string} message what happened and what to do @param {number} exitCode */
  constructor(message, exitCode = 1) {
    super(message)
    this.name = 'Advice'
    this.exitCode = exitCode
  }
}

/** Shows an error on stderr and sets the exit code. @param {unknown} error */
export function report(error) {
  if (error instanceof Advice) {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = error.exitCode
    return
  }
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  process.exitCode = 1
}
