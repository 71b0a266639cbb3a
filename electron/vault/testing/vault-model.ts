/** One run of the model: several PCs and a store, chance from a seed, and in the end the question whether all is well. */
import { idIn, prefixes } from '../names.ts'
import { type ModelCounts, ModelPc } from './model-pc.ts'
import { ModelWorld } from './model-world.ts'
import { Seeded } from './seeded.ts'

const minuteMs = 60_000
const patienceMs = 31 * minuteMs
/** A run that takes longer hangs. */
const mostSteps = 5_000

export interface ModelOutcome {
  /** Empty when all is well. */
  wrong: string[]
  story: readonly string[]
}

export async function runModel(seed: number, counts: ModelCounts, turns = 24): Promise<ModelOutcome> {
  const random = new Seeded(seed)
  const world = new ModelWorld(random, random.chance(0.4) ? minuteMs : 0)
  const pcs = ['anna', 'ben', 'cleo'].map((name) => new ModelPc(world, name, counts))
  await past(world, pcs)
  for (let turn = 0; turn < turns && world.laws.broken.length === 0; turn += 1) {
    const pc = random.pick(pcs)
    if (random.chance(0.15)) world.nowMs += patienceMs
    else if (pc) await oneTurn(world, pc)
  }
  await rest(world, pcs)
  return { wrong: [...world.laws.broken, ...leftOver(world)], story: world.story }
}

/** One PC does something and goes on for a while; at times to its work's end. */
async function oneTurn(world: ModelWorld, pc: ModelPc): Promise<void> {
  const { random } = world
  await something(world, pc)
  await goOn(world, pc, random.chance(0.4) ? mostSteps : 1 + random.int(random.chance(0.5) ? 6 : 30))
}

/** One PC goes on for so many calls of the store, or to the end of its work, while the others are asleep. */
async function goOn(world: ModelWorld, pc: ModelPc, calls = mostSteps): Promise<void> {
  await world.calm()
  for (let left = calls; left > 0 && pc.busy.size > 0 && world.laws.broken.length === 0; left -= 1) {
    const one = world.random.pick(world.ready.filter((each) => each.pc === pc.clock))
    if (one) await world.step(one)
    else world.nowMs = Math.max(world.nowMs, world.nextOf(pc.clock))
  }
}

/**
 * One run in which things that are rare by chance come together: a PC sleeps in the middle of a call, a second one in
 * the middle of what follows from that, and a third one does what is tempting then.
 */
export async function runStory(seed: number, counts: ModelCounts): Promise<ModelOutcome> {
  const random = new Seeded(seed)
  const world = new ModelWorld(random, random.chance(0.4) ? minuteMs : 0)
  const [anna, ben, cleo] = ['anna', 'ben', 'cleo'].map((name) => new ModelPc(world, name, counts))
  if (!anna || !ben || !cleo) throw new Error('three PCs')
  const pcs = [anna, ben, cleo]
  await past(world, pcs)
  const story = random.pick(stories)
  await story?.(world, { anna, ben, cleo })
  for (const pc of pcs) await goOn(world, pc)
  await rest(world, pcs)
  return { wrong: [...world.laws.broken, ...leftOver(world)], story: world.story }
}

interface Cast {
  anna: ModelPc
  ben: ModelPc
  cleo: ModelPc
}

/** Begins an upload or a sweep and falls asleep after some call, the answer of which may be lost. */
async function begin(world: ModelWorld, pc: ModelPc, work: 'upload' | 'sweep'): Promise<void> {
  if (work === 'upload') pc.startUpload()
  else pc.startSweep()
  await goOn(world, pc, world.random.int(work === 'upload' ? 24 : 48))
  world.lossChance = world.random.chance(0.3) ? 1 : 0
  await goOn(world, pc, 1)
  world.lossChance = 0.05
}

async function doAll(world: ModelWorld, pc: ModelPc, work: 'upload' | 'sweep'): Promise<void> {
  if (work === 'upload') pc.startUpload()
  else pc.startSweep()
  await goOn(world, pc)
}

function wait(world: ModelWorld): void {
  world.nowMs += patienceMs
}

const stories: ((world: ModelWorld, cast: Cast) => Promise<void>)[] = [
  /** Two sweeps asleep, an upload between them. */
  async (world, { anna, ben, cleo }) => {
    await begin(world, anna, 'sweep')
    wait(world)
    await begin(world, ben, 'sweep')
    await doAll(world, cleo, 'upload')
    await goOn(world, ben)
    await goOn(world, anna)
    await doAll(world, cleo, 'upload')
  },
  /** An upload that is ended by a sweep, which is finished by another. */
  async (world, { anna, ben, cleo }) => {
    await begin(world, anna, 'upload')
    wait(world)
    await begin(world, ben, 'sweep')
    await doAll(world, cleo, 'sweep')
    await goOn(world, anna)
    await doAll(world, cleo, 'upload')
    await goOn(world, ben)
  },
  /** A sweep that does not know of an upload, and the other way round. */
  async (world, { anna, ben }) => {
    await begin(world, anna, 'sweep')
    await begin(world, ben, 'upload')
    await goOn(world, anna)
    await goOn(world, ben)
  },
  /** An upload that was ended starts again, and falls asleep once more. */
  async (world, { anna, ben, cleo }) => {
    await begin(world, anna, 'upload')
    wait(world)
    await begin(world, ben, 'sweep')
    await goOn(world, anna, 1 + world.random.int(40))
    if (world.random.chance(0.5)) wait(world)
    if (world.random.chance(0.5)) await doAll(world, cleo, 'sweep')
    await goOn(world, world.random.chance(0.5) ? ben : anna)
    await doAll(world, cleo, 'upload')
  },
  /** What was sent before an upload was given up arrives long after. */
  async (world, { anna, ben, cleo }) => {
    await begin(world, anna, 'upload')
    anna.cancelUpload()
    await goOn(world, anna, world.random.int(6))
    wait(world)
    await doAll(world, ben, 'sweep')
    await goOn(world, anna)
    await doAll(world, cleo, 'upload')
  },
]

/** What its person does, or what befalls it. */
async function something(world: ModelWorld, pc: ModelPc): Promise<void> {
  const { random } = world
  const what = random.int(100)
  if (pc.busy.size > 0) {
    if (what < 4) await pc.crash()
    else if (what < 8) pc.cancelUpload()
    else if (what < 14 && !pc.busy.has('upload')) pc.startUpload()
    return
  }
  const id = random.pick([...world.laws.packsOf.keys()])
  if (what < 45) pc.startUpload()
  else if (what < 85 || id === undefined) pc.startSweep()
  else pc.startRemoval(id)
}

/** Some checkpoints from before, some of them deleted: there is something to free, and to be tempted by. */
async function past(world: ModelWorld, pcs: readonly ModelPc[]): Promise<void> {
  for (const pc of pcs) {
    pc.startUpload()
    await finish(world, pcs)
  }
  for (const id of [...world.laws.packsOf.keys()].slice(0, 1 + world.random.int(3))) {
    pcs[0]?.startRemoval(id)
    await finish(world, pcs)
  }
  world.nowMs += patienceMs
}

/** Everybody finishes; then one PC sweeps until there is nothing more to free. */
async function rest(world: ModelWorld, pcs: readonly ModelPc[]): Promise<void> {
  await finish(world, pcs)
  for (let round = 0; round < 3; round += 1) {
    world.nowMs += patienceMs
    pcs[0]?.startSweep()
    await finish(world, pcs)
  }
}

/** In any order, until these PCs have nothing more to do. */
async function finish(world: ModelWorld, pcs: readonly ModelPc[]): Promise<void> {
  await world.calm()
  for (let step = 0; step < mostSteps && world.laws.broken.length === 0; step += 1) {
    if (pcs.every((pc) => pc.busy.size === 0)) return
    const one = world.random.pick(world.ready)
    if (one) await world.step(one)
    else world.nowMs = Math.max(world.nowMs, world.nextMs)
  }
  if (world.laws.broken.length === 0) world.laws.broken.push('it does not come to rest')
}

/** Exactly what is used is there, and nothing announces work that nobody does. */
function leftOver(world: ModelWorld): string[] {
  if (world.laws.broken.length > 0) return []
  const used = new Set([...world.laws.packsOf.values()].flat())
  const wrong: string[] = []
  for (const [name, { body }] of world.objects) {
    const pack = idIn(prefixes.packs, name)
    if (pack !== null && body.length > 0 && !used.has(pack)) wrong.push(`${name} was not freed`)
    const isNote = [prefixes.uploads, prefixes.sweeps].some((prefix) => name.startsWith(prefix))
    if (isNote) wrong.push(`${name} is left`)
    if (name.startsWith(prefixes.doomed) && body.length > 0) wrong.push(`${name} was not carried out`)
    const summary = idIn(prefixes.summaries, name)
    if (summary !== null && !world.laws.packsOf.has(summary)) wrong.push(`${name} has no checkpoint`)
  }
  for (const id of world.laws.packsOf.keys()) {
    if (!world.objects.has(prefixes.summaries + id)) wrong.push(`the checkpoint ${id} has no summary`)
  }
  return wrong
}
