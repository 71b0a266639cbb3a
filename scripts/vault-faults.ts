/**
 * Kills the host, or the store, at random instants of work with checkpoints, for as long as wanted:
 *
 *   npm run faults:vault -- [--seed N] [--count N] [--store folder|azurite]
 *
 * A real dock, a real guest, a vault in a folder; for every fifth seed in Azurite, which is what is killed then most of
 * the time. Prints each case that fails, with what runs it again, and exits 1 when there was one.
 */
import { parseArgs } from 'node:util'
import { type VaultCase, VaultFaultRig } from '../electron/testing/vault-fault-rig.ts'
import { vaultWorks } from '../electron/testing/vault-fault-works.ts'
import { randomFrom } from './lib/random-from.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '40' },
    store: { type: 'string' },
  },
})
const firstSeed = Number(values.seed)
const isOnAzurite = (seed: number): boolean => seed % 5 === 0
const seeds = Array.from({ length: Number(values.count) }, (_, i) => firstSeed + i).filter(
  (seed) => values.store === undefined || isOnAzurite(seed) === (values.store === 'azurite'),
)

let failed = 0
let blows = 0
let rig: VaultFaultRig | null = null
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void (rig?.destroy() ?? Promise.resolve()).finally(() => process.exit(130)))
}
/** As measured by the first rig of a kind. */
const usual = new Map<string, VaultFaultRig['usualMs']>()
await strikeAll(
  'folder',
  seeds.filter((seed) => !isOnAzurite(seed)),
)
await strikeAll('azurite', seeds.filter(isOnAzurite))
process.stdout.write(`${blows} blows: ${seeds.length - failed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1

/** What is left by a case that failed is not the next one's: it gets a rig of its own. */
async function strikeAll(store: 'folder' | 'azurite', all: readonly number[]): Promise<void> {
  for (let left = all; left.length > 0; ) left = await strikeSome(store, left)
}

/** @returns the seeds that are left */
async function strikeSome(store: 'folder' | 'azurite', all: readonly number[]): Promise<readonly number[]> {
  rig = await VaultFaultRig.create(store, usual.get(store))
  try {
    const wrong = usual.has(store) ? [] : await rig.measure()
    if (wrong.length > 0) throw new Error(`without a blow: ${wrong.join('; ')}`)
    usual.set(store, rig.usualMs)
    for (const [i, seed] of all.entries()) {
      const one = caseOf(seed)
      const startedMs = performance.now()
      const wrong = await rig.strike(one).catch((error: unknown) => [String(error)])
      const tookS = ((performance.now() - startedMs) / 1000).toFixed(1)
      blows += 1 + one.againMs.length
      process.stdout.write(`seed ${seed}: ${store}, ${inWords(one, rig)} (${tookS} s)\n`)
      if (wrong.length === 0) continue
      await report(rig, `--seed ${seed} --count 1`, wrong)
      return all.slice(i + 1)
    }
    const which = randomFrom(all.at(-1) ?? 0)(1000) / 1000
    const left = await rig.finish(which).catch((error: unknown) => [String(error)])
    if (left.length > 0) await report(rig, `--seed ${all[0]} --count ${all.length} (at the end)`, left)
    return []
  } finally {
    await rig.destroy()
  }
}

function caseOf(seed: number): VaultCase {
  const below = randomFrom(seed)
  const work = vaultWorks[below(vaultWorks.length)] ?? 'make a checkpoint'
  const at = below(1050) / 1000
  const which = below(1000) / 1000
  const victim = isOnAzurite(seed) && below(4) > 0 ? 'store' : 'host'
  const againMs = Array.from({ length: below(4) }, () => below(2500))
  return { work, victim, at, which, awayMs: below(4000), againMs }
}

function inWords({ work, victim, at, againMs }: VaultCase, { usualMs }: VaultFaultRig): string {
  const first = Math.round((at ?? 0) * usualMs[work])
  const again = againMs.map((ms) => `, again ${ms} ms after it was back`).join('')
  return `${work}, ${victim} at ${first} ms${again}`
}

async function report(rig: VaultFaultRig, again: string, wrong: readonly string[]): Promise<void> {
  failed += 1
  process.stdout.write(`FAILED, again with ${again}\n  ${wrong.join('\n  ')}\n`)
  process.stdout.write(`  ${(await rig.lastWords()).join('\n  ')}\n`)
}
