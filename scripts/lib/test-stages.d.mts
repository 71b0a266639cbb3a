export interface Counts {
  passed: number
  failed: number
  skipped: number
}
export interface Stage {
  name: string
  command: string[]
  needs?: string
  env?: Record<string, string>
  report?: string
  count?: (report: never) => Counts
}
export declare function stages(folder: string): Stage[]
export declare function countOf(stage: Stage, ok: boolean): Counts
