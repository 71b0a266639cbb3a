/** Samples as the columns a chart wants: seconds, rate, dirty rate. Pure. */
import type { ProgressSample } from '../../shared/models/operation.ts'

export function chartColumns(samples: readonly ProgressSample[]): [number[], number[], number[]] {
  return [
    samples.map((sample) => sample.atMs / 1000),
    samples.map((sample) => sample.rateBytesPerS),
    samples.map((sample) => sample.dirtyRateBytesPerS),
  ]
}
