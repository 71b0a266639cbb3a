/**
 * Live pictures of guests' screens. Each visible picture is asked for about every two seconds, one question at a
 * time and never while the page is hidden; an unchanged screen costs one empty answer.
 */
import { type RefObject, useEffect } from 'react'
import { create } from 'zustand'
import type { HostClient } from '../client/host-client.ts'
import { useClient } from './app-context.tsx'
import { useOnScreen } from './on-screen.ts'

const pollMs = 2000

interface Picture {
  revision: number
  src: string
}

const usePictures = create<{ pictures: ReadonlyMap<string, Picture> }>()(() => ({ pictures: new Map() }))

interface Source {
  guestId: string
  dockId: string
}

const keyOf = (source: Source): string => `${source.dockId}/${source.guestId}`

/** The latest picture as an image address, or null. Polls only while `live` and `element` is on the screen. */
export function usePicture(
  source: Source,
  live: boolean,
  element: RefObject<HTMLElement | null>,
): string | null {
  const client = useClient()
  const visible = useOnScreen(element)
  const { guestId, dockId } = source
  useEffect(() => {
    if (!live || !visible) return
    return poll(client, { guestId, dockId })
  }, [client, guestId, dockId, live, visible])
  return usePictures(({ pictures }) => pictures.get(keyOf(source))?.src ?? null)
}

function poll(client: HostClient, source: Source): () => void {
  let stopped = false
  let timer: ReturnType<typeof setTimeout> | undefined
  async function next(): Promise<void> {
    if (!document.hidden) await fetchPicture(client, source)
    if (!stopped) timer = setTimeout(() => void next(), pollMs)
  }
  void next()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}

/** A picture that cannot be had is no news: the last one stays. */
async function fetchPicture(client: HostClient, source: Source): Promise<void> {
  const key = keyOf(source)
  const known = usePictures.getState().pictures.get(key)
  try {
    const answer = await client.guests.picture({ ...source, sinceRevision: known?.revision ?? null })
    if (answer === null) return
    const picture = { revision: answer.revision, src: `data:image/png;base64,${answer.pngBase64}` }
    usePictures.setState(({ pictures }) => ({ pictures: new Map(pictures).set(key, picture) }))
  } catch {
    return
  }
}
