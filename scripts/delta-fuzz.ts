/**
 * Sends hostile messages to both ends of the page codec, for as long as wanted:
 *
 *   npm run fuzz:delta -- [--seed N] [--frames N]
 *
 * A million frames unless told. Prints what was wrong, with what runs it again, and exits 1 when something was.
 */
import { parseArgs } from 'node:util'
import { fuzzBoth } from '../electron/delta/testing/fuzz-both.ts'
import { randomFrom } from './lib/random-from.ts'

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, frames: { type: 'string', default: '1000000' } },
})
const seed = Number(values.seed)
const startedAtMs = performance.now()
const { frames, refusals, wrong } = fuzzBoth(randomFrom(seed), Number(values.frames))
const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(0)
if (wrong === null)
  process.stdout.write(`${frames} frames, refused in ${refusals} ways, ${seconds} s: nothing wrong\n`)
else process.stdout.write(`after ${frames} frames: ${wrong}\nagain: npm run fuzz:delta -- --seed ${seed}\n`)
process.exitCode = wrong === null ? 0 : 1
