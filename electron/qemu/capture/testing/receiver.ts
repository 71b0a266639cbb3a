/** For tests and measurements: a receiver of one capture that runs in a thread of its own. */
import { Worker } from 'node:worker_threads'
import { z } from 'zod'

const message = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listening') }),
  z.object({ kind: z.literal('first') }),
  z.object({ kind: z.literal('end'), bytes: z.number(), whole: z.boolean() }),
])

export interface Receiver {
  socketPath: string
  firstPart: Promise<void>
  /** Resolves when the stream has ended. `whole`: it could be read to its end. */
  ended: Promise<{ bytes: number; whole: boolean }>
  /** As if it had crashed. */
  kill(): Promise<void>
}

/** @returns once it listens */
export async function startReceiver(
  socketPath: string,
  options: { savePath?: string; manner?: 'count' | 'stall' } = {},
): Promise<Receiver> {
  const worker = new Worker(new URL('./receiver-worker.ts', import.meta.url), {
    workerData: { socketPath, savePath: options.savePath ?? null, manner: options.manner ?? 'count' },
  })
  const listening = Promise.withResolvers<void>()
  const first = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<{ bytes: number; whole: boolean }>()
  worker.on('error', listening.reject)
  worker.on('message', (value) => {
    const told = message.parse(value)
    if (told.kind === 'listening') listening.resolve()
    else if (told.kind === 'first') first.resolve()
    else ended.resolve({ bytes: told.bytes, whole: told.whole })
  })
  await listening.promise
  const kill = async (): Promise<void> => {
    await worker.terminate()
  }
  return { socketPath, firstPart: first.promise, ended: ended.promise, kill }
}
