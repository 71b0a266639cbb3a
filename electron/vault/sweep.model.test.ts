/**
 * The model check of the order of writes: real uploads, deletions and sweeps of three PCs over one store, interleaved at
 * every call of it, put to sleep for hours, struck by power cuts, their answers lost. Whatever happens, a checkpoint that
 * is listed has all of its packs; and when everybody rests, exactly what is not used has been freed.
 */
import { describe, expect, it } from 'vitest'
import { type ModelOutcome, runModel, runStory } from './testing/vault-model.ts'

/** For a longer look: `WDOCK_MODEL_SEEDS=5000`, 20 ms each. */
const seeds = Number(process.env.WDOCK_MODEL_SEEDS ?? 70)

const counts = { published: 0, fenced: 0, lost: 0, cancelled: 0, freed: 0, crashes: 0 }

async function expectNothingWrong(run: (seed: number) => Promise<ModelOutcome>): Promise<void> {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { wrong, story } = await run(seed)
    if (wrong.length > 0) expect.fail([`seed ${seed}`, ...wrong, ...story].join('\n'))
  }
}

describe('a vault that several PCs write to and sweep', { timeout: 30_000 + 500 * seeds }, () => {
  it('never loses what a checkpoint needs, and frees the rest in the end, by chance', async () => {
    await expectNothingWrong((seed) => runModel(seed, counts))
  })

  it('does neither when what is rare comes together', async () => {
    await expectNothingWrong((seed) => runStory(seed, counts))
  })

  it('has seen what the model is for', () => {
    for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(0)
  })
})
