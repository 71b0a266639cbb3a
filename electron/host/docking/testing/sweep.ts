/** Moves that are struck at every step, for the model checks. Promises a verdict in words, empty when all went well. */
import { type Blow, type ModelCase, runCase } from './cases.ts'

/** A whole move takes about 95, its handover the last 25. */
export const steps = { start: 110, loaded: 26 }

export function tell(plan: ModelCase, wrong: string[], story: readonly string[]): string {
  return wrong.length === 0 ? '' : [JSON.stringify(plan), ...wrong, ...story].join('\n')
}

export async function verdictOf(plan: ModelCase): Promise<string> {
  const { wrong, story } = await runCase(plan)
  return tell(plan, wrong, story)
}

/** One blow at every `stride`th step. @returns what went wrong */
export async function sweep(from: 'start' | 'loaded', blow: Blow, stride: number): Promise<string[]> {
  const failures: string[] = []
  for (let step = from === 'start' ? 1 : 0; step <= steps[from]; step += stride) {
    const strike = { from, step, blow, mendAfterMs: step % 2 === 0 ? 12 : null }
    const plan = { running: step % 5 !== 1, pull: step % 3 === 0, blows: [strike] }
    const failure = await verdictOf(plan)
    if (failure !== '') failures.push(failure)
  }
  return failures
}
