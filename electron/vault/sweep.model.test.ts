/**
 * The model check of the order of writes: real uploads, deletions and sweeps of three PCs over one store, interleaved at
 * every call of it, put to sleep for hours, struck by power cuts, their answers lost. Whatever happens, a checkpoint that
 * is listed has all of its packs; and when everybody rests, exactly what is not used has been freed.
 */
import { describe, expect, it } from 'vitest'
import { runModel } from './testing/vault-model.ts'

/** For a longer look: `WDOCK_MODEL_SEEDS=5000`, 20 ms each. */
const seeds = Number(process.env.WDOCK_MODEL_SEEDS ?? 120)

describe('a vault that several PCs write to and sweep', () => {
  it('never loses what a checkpoint needs, and frees the rest in the end', {
    timeout: 30_000 + 500 * seeds,
  }, async () => {
    const counts = { published: 0, fenced: 0, lost: 0, cancelled: 0, freed: 0, crashes: 0 }
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { wrong, story } = await runModel(seed, counts)
      if (wrong.length > 0) expect.fail([`seed ${seed}`, ...wrong, ...story].join('\n'))
    }
    // What it was made for has happened.
    for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(0)
  })
})
