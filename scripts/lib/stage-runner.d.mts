import type { Stage } from './test-stages.mjs'

export interface StageRunnerOptions {
  /** The folder of the commands. */
  programs: string
  cwd: string
  env: NodeJS.ProcessEnv
  /** For output that waits for the end of its stage. */
  folder: string
  /** How many stages run at once. */
  lanes: number
  began: (stage: Stage) => void
  ended: (stage: Stage, outcome: { ok: boolean; seconds: number }) => void
  print: (text: string) => void
}
export declare class StageRunner {
  constructor(options: StageRunnerOptions)
  readonly interrupted: boolean
  run(round: readonly Stage[]): Promise<void>
  interrupt(signal: NodeJS.Signals): void
}
