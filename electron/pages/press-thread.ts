/**
 * A press in a thread of its own, started when there is a whole batch to press: what is less is done here, sooner than a
 * thread starts. Promises that every batch is answered, with a failure when the thread has ended.
 */
import { Worker } from 'node:worker_threads'
import { type ErrorShape, errorFromShape, fail } from '../../shared/errors/index.ts'
import { framePages } from './frame.ts'
import { batchFrames, type FrameBatch, type FramePress, pressBatch } from './frame-press.ts'

export interface PressRequest {
  id: number
  batch: FrameBatch
}

export type PressReply =
  | { id: number; kind: 'pressed'; sealedBytes: Uint32Array }
  | { id: number; kind: 'failed'; error: ErrorShape }

export class PressThread implements FramePress {
  readonly #calls = new Map<number, PromiseWithResolvers<Uint32Array>>()
  #worker: Worker | null = null
  #ended: Error | null = null
  #id = 0

  async press(batch: FrameBatch): Promise<Uint32Array> {
    if (this.#ended !== null) throw this.#ended
    if (this.#worker === null && batch.pageCount < batchFrames * framePages) return pressBatch(batch)
    this.#worker ??= this.#start()
    const call = Promise.withResolvers<Uint32Array>()
    this.#id += 1
    this.#calls.set(this.#id, call)
    const request: PressRequest = { id: this.#id, batch }
    this.#worker.postMessage(request)
    return await call.promise
  }

  async close(): Promise<void> {
    this.#end(fail('host.cancelled'))
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(new URL('./press.worker.ts', import.meta.url))
    worker.on('message', (reply: PressReply) => this.#hear(reply))
    worker.on('error', (error) => this.#end(error))
    worker.on('exit', (code) => this.#end(fail('host.unexpected', {}, { detail: `a press ended: ${code}` })))
    return worker
  }

  #hear(reply: PressReply): void {
    const call = this.#calls.get(reply.id)
    this.#calls.delete(reply.id)
    if (reply.kind === 'pressed') call?.resolve(reply.sealedBytes)
    else call?.reject(errorFromShape(reply.error))
  }

  #end(error: unknown): void {
    this.#ended ??= error instanceof Error ? error : new Error(String(error))
    for (const call of this.#calls.values()) call.reject(this.#ended)
    this.#calls.clear()
  }
}
