/**
 * Pictures of checkpoints. They never change, so each is asked for once, when it comes on the screen; a few at a
 * time, and one that was scrolled past meanwhile not at all. Keeps a bounded number of them.
 */
import { type RefObject, useEffect } from 'react'
import { create } from 'zustand'
import type { HostClient } from '../client/host-client.ts'
import { useClient } from './app-context.tsx'
import { createFetchQueue, type FetchQueue } from './fetch-queue.ts'
import { useOnScreen } from './on-screen.ts'

const atOnce = 4
const keptPictures = 150

/** Null for a checkpoint that has none after all. */
type Pictures = ReadonlyMap<string, string | null>

const usePictures = create<{ pictures: Pictures }>()(() => ({ pictures: new Map() }))
const queues = new WeakMap<HostClient, FetchQueue>()

/**
 * The picture as an image address; null while it is not there, or where there is none.
 * @param element asks only while this is on the screen
 */
export function useCheckpointPicture(
  checkpoint: { id: string; hasPicture: boolean },
  element: RefObject<HTMLElement | null>,
): string | null {
  const client = useClient()
  const isOnScreen = useOnScreen(element)
  const { id, hasPicture } = checkpoint
  useEffect(() => {
    if (!hasPicture || !isOnScreen || usePictures.getState().pictures.has(id)) return
    const queue = queueOf(client)
    queue.want(id)
    return () => queue.drop(id)
  }, [client, id, hasPicture, isOnScreen])
  return usePictures(({ pictures }) => pictures.get(id) ?? null)
}

function queueOf(client: HostClient): FetchQueue {
  const known = queues.get(client)
  if (known !== undefined) return known
  const queue = createFetchQueue(atOnce, (id) => fetchPicture(client, id))
  queues.set(client, queue)
  return queue
}

/** A picture that cannot be had now is asked for when it comes on the screen again. */
async function fetchPicture(client: HostClient, id: string): Promise<void> {
  try {
    const answer = await client.checkpoints.picture({ checkpointId: id })
    keep(id, answer === null ? null : `data:image/png;base64,${answer.pngBase64}`)
  } catch {
    return
  }
}

function keep(id: string, src: string | null): void {
  usePictures.setState(({ pictures }) => {
    const next = new Map(pictures).set(id, src)
    for (const oldest of next.keys()) {
      if (next.size <= keptPictures) break
      next.delete(oldest)
    }
    return { pictures: next }
  })
}
