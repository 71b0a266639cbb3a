/**
 * Runs the commands of test stages. Promises: what a stage prints beside others comes in one piece when it ends, in
 * the order in which it was printed, and at once when it runs alone; an interruption reaches every command that runs,
 * and none starts after it.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @typedef {import('./test-stages.mjs').Stage} Stage
 * @typedef {{ ok: boolean, seconds: number }} Outcome
 */

export class StageRunner {
  #options
  /** @type {Set<import('node:child_process').ChildProcess>} */
  #running = new Set()
  #interrupted = false

  /**
   * @param {{ programs: string, cwd: string, env: NodeJS.ProcessEnv, folder: string, lanes: number,
   *   began: (stage: Stage) => void, ended: (stage: Stage, outcome: Outcome) => void,
   *   print: (text: string) => void }} options `programs` is the folder of the commands, `folder` for output that
   *   waits, `lanes` how many run at once. `began` and `ended` stand around the output of each stage.
   */
  constructor(options) {
    this.#options = options
  }

  get interrupted() {
    return this.#interrupted
  }

  /** Runs stages, as many at once as there are lanes. @param {readonly Stage[]} round */
  async run(round) {
    const waiting = [...round]
    const lanes = Math.min(round.length, this.#options.lanes)
    const lane = async () => {
      while (!this.#interrupted) {
        const stage = waiting.shift()
        if (stage === undefined) return
        await (lanes > 1 ? this.#runBeside(stage) : this.#runAlone(stage))
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
  }

  /** @param {NodeJS.Signals} signal goes on to what runs */
  interrupt(signal) {
    this.#interrupted = true
    for (const child of this.#running) child.kill(signal)
  }

  async #runAlone(stage) {
    this.#options.began(stage)
    this.#options.ended(stage, await this.#outcomeOf(stage, 'inherit', this.#options.print))
  }

  async #runBeside(stage) {
    // One file for both streams keeps their lines in order.
    const path = join(this.#options.folder, `output of ${stage.name}`)
    const file = openSync(path, 'a')
    const outcome = await this.#outcomeOf(stage, file, (text) => writeSync(file, text))
    closeSync(file)
    const output = readFileSync(path, 'utf8')
    rmSync(path)
    this.#options.began(stage)
    this.#options.print(output)
    this.#options.ended(stage, outcome)
  }

  /** @returns {Promise<Outcome>} */
  async #outcomeOf(stage, output, complain) {
    const { programs, cwd, env } = this.#options
    const startedAtMs = performance.now()
    const child = spawn(join(programs, stage.command[0]), stage.command.slice(1), {
      cwd,
      stdio: ['ignore', output, output],
      env: { ...env, ...stage.env },
    })
    this.#running.add(child)
    const ok = await new Promise((resolve) => {
      child.on('error', (error) => {
        complain(`${error.message}\n`)
        resolve(false)
      })
      child.on('close', (code) => resolve(code === 0))
    })
    this.#running.delete(child)
    return { ok, seconds: (performance.now() - startedAtMs) / 1000 }
  }
}
