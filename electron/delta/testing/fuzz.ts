/**
 * Hostile conversations for both ends of the codec: real ones, changed at random, sent again and again; those that come
 * upon something new are changed further. Promises that one seed always does the same, and a verdict in words: only the
 * named error may come out, no byte that the source did not have may go to QEMU, and memory stays bounded.
 */
import { isCode } from '../../../shared/errors/index.ts'
import { Decoder } from '../decoder.ts'
import { Encoder } from '../encoder.ts'
import { backward, forward } from '../grammar.ts'
import { KnownFiles } from '../known-files.ts'
import { type Message, MessageReader } from '../messages.ts'
import { KeptModel } from './kept-model.ts'

interface Frame {
  type: number
  payload: Buffer
}

/** What one end said in a visit, and what it was about. */
export interface Recording {
  frames: readonly Frame[]
  stream: Buffer
  /** What the end that listens had before; made anew for each try. */
  kept: () => KeptModel
}

type Random = (limit: number) => number

const idKey = Buffer.alloc(32, 7)
const visit = Buffer.alloc(16, 1)
const mostQueuedBytes = 64 * 1024 * 1024

/** What a sender says of a stream. */
export function recordSender(stream: Buffer, keptBy: () => KeptModel): Recording {
  const frames: Frame[] = []
  const decoder = new Decoder({
    kept: keptBy(),
    files: new KnownFiles([]),
    send: (message) => toSender.push(frameOf(message)),
    write: (_bytes, taken) => taken(),
  })
  const toSender: Frame[] = []
  const sender = keptBy()
  const encoder = new Encoder({
    kept: sender,
    files: new KnownFiles([]),
    visit,
    newIdKey: idKey,
    send: (message) => {
      const frame = frameOf(message)
      frames.push(frame)
      decoder.take(frame.type, frame.payload)
    },
    plain: () => {},
    hold: () => {},
    release: () => {},
  })
  for (let at = 0; at < stream.length; ) {
    const end = encoder.take(stream, at, Math.min(stream.length, at + 20_000))
    encoder.flush()
    for (let [next] = toSender; next !== undefined; [next] = toSender) {
      toSender.shift()
      encoder.hear(next.type, next.payload)
    }
    if (end === at && at + 20_000 >= stream.length) break
    at = end
  }
  encoder.end(stream, stream.length, stream.length)
  return { frames, stream, kept: keptBy }
}

function frameOf(message: Message): Frame {
  const [header, ...parts] = message
  return { type: header?.[0] ?? 0, payload: Buffer.concat(parts) }
}

export interface FuzzResult {
  frames: number
  /** Different ways in which something was refused. */
  refusals: number
  /** What was wrong, in words; null when nothing was. */
  wrong: string | null
}

/** Sends changed conversations until so many frames have been read. */
export function fuzz(recordings: readonly Recording[], random: Random, frames: number): FuzzResult {
  const pool = recordings.map((recording) => ({ recording, frames: recording.frames }))
  const seen = new Set<string>()
  let read = 0
  while (read < frames) {
    const from = pool[random(pool.length)]
    if (from === undefined) break
    const { recording } = from
    const changed = change(from.frames, random)
    const verdict = play(recording, changed)
    read += verdict.frames
    if (verdict.wrong !== null) return { frames: read, refusals: seen.size, wrong: verdict.wrong }
    const way = (verdict.refusal ?? `${verdict.batches} batches`).replaceAll(/\d+/g, '#')
    if (!seen.has(way)) {
      seen.add(way)
      pool.push({ recording, frames: changed })
    }
  }
  return { frames: read, refusals: seen.size, wrong: null }
}

interface Verdict {
  frames: number
  batches: number
  refusal: string | null
  wrong: string | null
}

function play({ stream, kept }: Recording, frames: readonly Frame[]): Verdict {
  const out: Buffer[] = []
  let saidBytes = 0
  const decoder = new Decoder({
    kept: kept(),
    files: new KnownFiles([]),
    send: (message) => {
      for (const part of message) saidBytes += part.length
    },
    write: (bytes, taken) => {
      out.push(Buffer.from(bytes))
      taken()
    },
  })
  const reader = new MessageReader(Object.keys(forward).length, (type, payload) => {
    if (type === forward.repair || !decoder.mustWait) decoder.take(type, payload)
  })
  let read = 0
  let refusal: string | null = null
  let wrong: string | null = null
  try {
    for (const frame of frames) {
      read += 1
      reader.push(bytesOf(frame))
    }
  } catch (error) {
    if (isCode(error, 'delta.bad_message')) refusal = error.detail
    else wrong = `not the named error: ${String(error)}`
  }
  const came = Buffer.concat(out)
  const isPlain = frames.some(({ type }) => type === forward.aside)
  if (!isPlain && !stream.subarray(0, came.length).equals(came)) wrong ??= 'other bytes than the source had'
  if (came.length + saidBytes > mostQueuedBytes) wrong ??= `${came.length + saidBytes} bytes came of it`
  return { frames: Math.max(1, read), batches: decoder.stats.batches, refusal, wrong }
}

/** The header may say another length than there is. */
function bytesOf({ type, payload }: Frame): Buffer {
  const header = Buffer.alloc(5)
  header[0] = type
  header.writeUInt32LE(payload.length, 1)
  return Buffer.concat([header, payload])
}

const someNumbers = [0, 1, 0x7f, 0x80, 0xff]

function change(frames: readonly Frame[], random: Random): Frame[] {
  const changed = frames.map(({ type, payload }) => ({ type, payload }))
  for (let times = 1 + random(3); times > 0; times -= 1) changeOnce(changed, random)
  return changed
}

function changeOnce(frames: Frame[], random: Random): void {
  const at = random(frames.length)
  const frame = frames[at]
  if (frame === undefined) return
  switch (random(9)) {
    case 0:
      frames.splice(at, 1)
      return
    case 1:
      frames.splice(at, 0, frame)
      return
    case 2:
      frames.splice(at, 1, frames[random(frames.length)] ?? frame)
      return
    case 3:
      frames[at] = { type: random(7), payload: frame.payload }
      return
    case 4:
      frames[at] = { ...frame, payload: frame.payload.subarray(0, random(frame.payload.length + 1)) }
      return
    case 5:
      frames[at] = {
        ...frame,
        payload: Buffer.concat([frame.payload, Buffer.alloc(random(64), random(256))]),
      }
      return
    default:
      frames[at] = { ...frame, payload: flipped(frame.payload, random) }
  }
}

/** Mostly near the start, where the counts and places are. */
function flipped(payload: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(payload)
  if (bytes.length === 0) return bytes
  const at = random(random(2) === 0 ? Math.min(bytes.length, 120) : bytes.length)
  bytes[at] = random(2) === 0 ? (someNumbers[random(someNumbers.length)] ?? 0) : random(256)
  return bytes
}

/** The other direction: what a receiver says, changed. @returns what was wrong, or null */
export function fuzzAnswers(stream: Buffer, random: Random, frames: number): FuzzResult {
  const seen = new Set<string>()
  let read = 0
  while (read < frames) {
    const { count, refusal, wrong } = answerBadly(stream, random)
    read += count
    if (wrong !== null) return { frames: read, refusals: seen.size, wrong }
    if (refusal !== null) seen.add(refusal.replaceAll(/\d+/g, '#'))
  }
  return { frames: read, refusals: seen.size, wrong: null }
}

function answerBadly(stream: Buffer, random: Random) {
  const said: Frame[] = []
  let sentBytes = 0
  const encoder = new Encoder({
    kept: new KeptModel(),
    files: new KnownFiles([]),
    visit,
    newIdKey: idKey,
    send: (message) => {
      for (const part of message) sentBytes += part.length
      said.push(frameOf(message))
    },
    plain: () => {},
    hold: () => {},
    release: () => {},
  })
  let count = 0
  try {
    let at = encoder.take(stream, 0, stream.length)
    for (let turn = 0; turn < 12; turn += 1) {
      count += 1
      const { type, payload } = badAnswer(turn, random)
      encoder.hear(type, payload)
      if (!encoder.mustWait) at = encoder.take(stream, at, stream.length)
      encoder.flush()
    }
  } catch (error) {
    if (isCode(error, 'delta.bad_message')) return { count, refusal: error.detail ?? '', wrong: null }
    return { count, refusal: null, wrong: `not the named error: ${String(error)}` }
  }
  const wrong = sentBytes > mostQueuedBytes ? `${sentBytes} bytes came of it` : null
  return { count, refusal: null, wrong }
}

function badAnswer(turn: number, random: Random): Frame {
  const answer = { type: backward.answer, payload: Buffer.of(1, random(3)) }
  if (turn === 0 && random(3) > 0) return answer
  const bytes = Buffer.alloc(random(80))
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = random(4) === 0 ? random(256) : random(3)
  return { type: random(Object.keys(backward).length), payload: bytes }
}
