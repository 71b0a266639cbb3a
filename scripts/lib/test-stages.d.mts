export interface Counts {
  passed: number
  failed: number
  skipped: number
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
  count?: (report: never) => Counts
}
export declare function stages(folder: string): Stage[]
export declare function rounds(list: readonly Stage[]): Stage[][]
export declare function countOf(stage: Stage, ok: boolean): Counts
