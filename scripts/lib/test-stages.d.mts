export interface Counts {
  passed: number
  failed: number
  skipped: number
}
export interface Failure {
  name: string
  /** As the test runner said it; may be long or empty. */
  why: string
}
export interface Stage {
  name: string
  command: string[]
  /** Runs side by side with the neighbours that name the same. */
  beside?: string
  /** A file without which the stage is left out. */
  needs?: string
  env?: Record<string, string>
  report?: string
  reader?: {
    count: (report: never) => Counts
    failures: (report: never) => Failure[]
    /** What passed at the second try. */
    shaky: (report: never) => Failure[]
  }
}
export declare function stages(folder: string): Stage[]
export declare function rounds(list: readonly Stage[]): Stage[][]
export declare function outcomeOf(
  stage: Stage,
  ok: boolean,
): Counts & { failures: Failure[]; shaky: Failure[] }
