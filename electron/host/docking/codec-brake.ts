/**
 * Tells when the page codec may hold up a move that the link would carry faster: over a stretch in which contents
 * crossed, it never had to wait for the link. Pure.
 */
import { pageBytes } from '../../pages/page-id.ts'

/** What is known at one instant; counters since the start. */
export interface BrakeSample {
  atMs: number
  /** How long the codec has waited for the link. */
  linkWaitMs: number
  /** Pages whose contents it had to send. */
  carriedPages: number
}

const stretchMs = 600
/** With less waiting than this share of the time, the link is not what takes the time. */
const idleShare = 0.04
/** With fewer, QEMU may have had little to send: 16 MB. */
const tellingPages = 4096

export class CodecBrake {
  #from: BrakeSample | null = null

  /** @returns how fast contents cross, in bytes a second, where the link is not what holds them up; else null */
  see(sample: BrakeSample): number | null {
    const from = this.#from
    if (from !== null && sample.atMs - from.atMs < stretchMs) return null
    this.#from = sample
    const pages = sample.carriedPages - (from?.carriedPages ?? 0)
    if (from === null || pages < tellingPages) return null
    const tookMs = sample.atMs - from.atMs
    if (sample.linkWaitMs - from.linkWaitMs >= tookMs * idleShare) return null
    return (pages * pageBytes * 1000) / tookMs
  }
}
