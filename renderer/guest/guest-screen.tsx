/** A guest's screen to look at and to use. A guest that is off says how to start it. */
import { Maximize, Power } from 'lucide-react'
import { useRef } from 'react'
import { assertNever } from '../../shared/assert-never.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { Button } from '../kit/button.tsx'
import { Empty } from '../kit/page.tsx'
import { darkSentence, hasLiveScreen } from '../model/guest-words.ts'
import { guestKey } from '../state/actions.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { showDone } from '../state/toasts.ts'
import { usePending } from '../state/ui-store.ts'
import { type ScreenState, useGuestScreen } from './use-guest-screen.ts'

export function GuestScreen({ guest }: { guest: Guest }) {
  if (hasLiveScreen(guest.state)) return <LiveScreen guest={guest} />
  return <DarkScreen guest={guest} />
}

function DarkScreen({ guest }: { guest: Guest }) {
  const actions = useActions()
  const pending = usePending(guestKey(guest.id))
  const isHere = useHost((state) => state.info.dockId === guest.dockId)
  const startable = isHere && (guest.state.kind === 'stopped' || guest.state.kind === 'failed')
  return (
    <div className="screen screen--dark">
      <Empty title={darkSentence(guest.name, guest.state)}>
        {guest.state.kind === 'failed' && (
          <p>
            {guest.state.error.message} {guest.state.error.fix}
          </p>
        )}
        {startable && (
          <Button
            look="primary"
            disabled={pending}
            icon={<Power size={16} aria-hidden />}
            onClick={() => void actions.command(guest, 'start')}
          >
            Start
          </Button>
        )}
      </Empty>
    </div>
  )
}

function LiveScreen({ guest }: { guest: Guest }) {
  const frame = useRef<HTMLDivElement>(null)
  const target = useRef<HTMLDivElement>(null)
  const { state, sendCtrlAltDel, paste, focus } = useGuestScreen(guest.id, guest.dockId, target)
  const connected = state.kind === 'connected'
  return (
    <div className="screen" ref={frame}>
      <div className="screen__bar">
        <p className="screen__state" role="status">
          {screenWords(state)}
        </p>
        <Button small disabled={!connected} onClick={sendCtrlAltDel}>
          Ctrl+Alt+Del
        </Button>
        <Button small disabled={!connected} onClick={() => void pasteClipboard(paste)}>
          Paste
        </Button>
        <Button
          small
          icon={<Maximize size={14} aria-hidden />}
          disabled={!connected}
          onClick={() => {
            void frame.current?.requestFullscreen()
            focus()
          }}
        >
          Full screen
        </Button>
      </div>
      <div className="screen__glass" ref={target} role="application" aria-label={`Screen of ${guest.name}`} />
    </div>
  )
}

/** A window may forbid reading the clipboard; then the person is told. */
async function pasteClipboard(paste: (text: string) => void): Promise<void> {
  try {
    paste(await navigator.clipboard.readText())
  } catch {
    showDone('This window may not read the clipboard.')
  }
}

function screenWords(state: ScreenState): string {
  switch (state.kind) {
    case 'connecting':
      return 'Connecting to the screen …'
    case 'connected':
      return 'Click the screen to type into it. Click outside to get your keyboard back.'
    case 'waiting':
      return `No screen right now: ${state.reason} Trying again …`
    default:
      return assertNever(state)
  }
}
