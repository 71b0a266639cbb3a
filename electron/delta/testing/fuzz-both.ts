/** The fuzz runs of the codec as the command and the test use them: which conversations, and how many of each. */
import { createHash } from 'node:crypto'
import { type FuzzResult, fuzz, fuzzAnswers, recordSender } from './fuzz.ts'
import { KeptModel } from './kept-model.ts'
import { pump } from './pump.ts'
import { moveOf } from './sample-move.ts'

/** Pages that do not compress, always the same. */
function page(name: string): Buffer {
  const parts = Array.from({ length: 128 }, (_, at) => createHash('sha256').update(`${name} ${at}`).digest())
  return Buffer.concat(parts)
}

const memory = [...['a', 'b', 'c', 'd', 'e'].map(page), page('a'), page('b'), Buffer.alloc(4096, 3)]
const changed = [...memory.slice(0, 6), Buffer.alloc(4096, 9), page('f')]
const idKey = Buffer.alloc(32, 7)

/** What is known after a first visit. */
function afterVisit(): KeptModel {
  const [sender, receiver] = [new KeptModel(), new KeptModel()]
  const visit = Buffer.alloc(16, 2)
  pump([moveOf(memory)], { sender, receiver, visit, idKey })
  receiver.finish(visit)
  return receiver
}

/** @param frames for all of it, about */
export function fuzzBoth(random: (limit: number) => number, frames: number): FuzzResult {
  const recordings = [
    recordSender(moveOf(memory, new Map([[2, page('g')]])), () => new KeptModel()),
    recordSender(moveOf(changed), afterVisit),
  ]
  const there = fuzz(recordings, random, Math.ceil(frames * 0.8))
  if (there.wrong !== null) return there
  const back = fuzzAnswers(moveOf(changed), random, Math.ceil(frames * 0.2))
  return {
    frames: there.frames + back.frames,
    refusals: there.refusals + back.refusals,
    wrong: back.wrong,
  }
}
