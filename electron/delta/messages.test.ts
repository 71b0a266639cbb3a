import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Encoder } from './encoder.ts'
import { backward, base, limits, pageIdBytes } from './grammar.ts'
import { KnownFiles } from './known-files.ts'
import { answerMessage, helloMessage, lacksMessage, type Message, readHello } from './messages.ts'
import { KeptModel } from './testing/kept-model.ts'
import { moveOf } from './testing/sample-move.ts'

const payloadOf = (message: Message): Buffer => Buffer.concat(message.slice(1))
const hello = { visit: randomBytes(16), known: null, idKey: randomBytes(32), files: [] }

describe('a hello', () => {
  it('is read as it was written', () => {
    const said = { ...hello, known: randomBytes(16), blocks: [{ name: 'pc.ram', pages: 7 }] }
    expect(readHello(payloadOf(helloMessage(said)))).toEqual(said)
  })

  it('of more memory than any guest has is refused before room is made for it', () => {
    const blocks = ['a', 'b', 'c'].map((name) => ({ name, pages: limits.blockPages }))
    expect(() => readHello(payloadOf(helloMessage({ ...hello, blocks })))).toThrow(
      expect.objectContaining({ code: 'delta.bad_message' }),
    )
  })
})

describe('what a receiver says it lacks', () => {
  it('is sent again once: asking for ever would cost the sender its link', () => {
    const sent: Message[] = []
    const encoder = new Encoder({
      kept: new KeptModel(),
      files: new KnownFiles([]),
      visit: randomBytes(16),
      newIdKey: randomBytes(32),
      send: (message) => sent.push(message),
      plain: () => undefined,
      hold: () => undefined,
      release: () => undefined,
    })
    const pages = 10
    const stream = moveOf(Array.from({ length: pages }, () => randomBytes(4096)))
    const at = encoder.take(stream, 0, stream.length)
    encoder.hear(backward.answer, payloadOf(answerMessage({ base: base.nothing, files: [] })))
    encoder.take(stream, at, stream.length)
    encoder.flush()
    const lacks = payloadOf(lacksMessage(1, Buffer.alloc(pages * pageIdBytes)))
    encoder.hear(backward.lacks, lacks)
    expect(encoder.stats.repairedPages).toBe(pages)
    expect(() => encoder.hear(backward.lacks, lacks)).toThrow(
      expect.objectContaining({ code: 'delta.bad_message' }),
    )
    expect(encoder.stats.repairedPages).toBe(pages)
  })
})
