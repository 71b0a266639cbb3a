/**
 * Keeps a guest's screen open: asks the host for a ticket, speaks VNC over the WebSocket it names, and asks again
 * after every loss. When the guest moves to another dock the connection is made anew, over there.
 */
import RFB from '@novnc/novnc'
import { type RefObject, useEffect, useRef, useState } from 'react'
import { toErrorShape } from '../client/errors.ts'
import type { HostClient } from '../client/host-client.ts'
import { useClient } from '../state/app-context.tsx'

export type ScreenState = { kind: 'connecting' } | { kind: 'connected' } | { kind: 'waiting'; reason: string }

const retryMs = 1500

export function useGuestScreen(guestId: string, dockId: string, target: RefObject<HTMLElement | null>) {
  const client = useClient()
  const [state, setState] = useState<ScreenState>({ kind: 'connecting' })
  const session = useRef<RFB | null>(null)
  useEffect(() => {
    const element = target.current
    if (element === null) return
    return keepOpen({
      client,
      guestId,
      dockId,
      element,
      onState: setState,
      onSession: (rfb) => {
        session.current = rfb
      },
    })
  }, [client, guestId, dockId, target])
  return {
    state,
    sendCtrlAltDel: () => session.current?.sendCtrlAltDel(),
    paste: (text: string) => typeText(session.current, text),
    focus: () => session.current?.focus(),
  }
}

interface ScreenOptions {
  client: HostClient
  guestId: string
  dockId: string
  element: HTMLElement
  onState: (state: ScreenState) => void
  onSession: (rfb: RFB | null) => void
}

function keepOpen({ client, guestId, dockId, element, onState, onSession }: ScreenOptions): () => void {
  let stopped = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let rfb: RFB | null = null

  async function open(): Promise<void> {
    try {
      const { url } = await client.guests.openScreen({ guestId, dockId })
      if (!stopped) connect(url)
    } catch (thrown) {
      retry(toErrorShape(thrown).message)
    }
  }

  function connect(url: string): void {
    rfb = new RFB(element, url, { wsProtocols: ['binary'], shared: true })
    rfb.scaleViewport = true
    rfb.background = 'transparent'
    rfb.addEventListener('connect', () => onState({ kind: 'connected' }))
    rfb.addEventListener('disconnect', () => retry('the connection closed.'))
    onSession(rfb)
  }

  function retry(reason: string): void {
    rfb = null
    onSession(null)
    if (stopped) return
    onState({ kind: 'waiting', reason })
    timer = setTimeout(() => void open(), retryMs)
  }

  onState({ kind: 'connecting' })
  void open()
  return () => {
    stopped = true
    clearTimeout(timer)
    rfb?.disconnect()
  }
}

const returnKeysym = 0xff0d

/** Types a text key by key: a console has no clipboard to paste into. Latin-1 characters are their own keysyms. */
function typeText(rfb: RFB | null, text: string): void {
  if (rfb === null) return
  for (const character of text.slice(0, 4096)) {
    const point = character.codePointAt(0) ?? 0
    if (character === '\n') rfb.sendKey(returnKeysym, 'Enter')
    else if (point >= 0x20) rfb.sendKey(point < 0x100 ? point : 0x0100_0000 + point, null)
  }
}
