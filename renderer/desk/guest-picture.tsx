/**
 * A guest's screen as a small monitor. On the desk a guest is arriving at, or while it is fetched from the vault, it
 * fills from below in proportion to the bytes that have come; the percentage stands on it.
 */
import { Monitor, Moon, Pause, Unplug } from 'lucide-react'
import { useRef } from 'react'
import type { Guest } from '../../shared/models/guest.ts'
import { hasLiveScreen } from '../model/guest-words.ts'
import { useCheckpointPicture } from '../state/checkpoint-pictures.ts'
import { usePicture } from '../state/pictures.ts'

interface GuestPictureProps {
  guest: Guest
  /** 0 to 1 on the desk it arrives at; null everywhere else. */
  fill: number | null
}

export function GuestPicture({ guest, fill }: GuestPictureProps) {
  const frame = useRef<HTMLDivElement>(null)
  const isArriving = guest.state.kind === 'arriving'
  const dockId = guest.state.kind === 'arriving' ? guest.state.fromDockId : guest.dockId
  const live = isArriving || hasLiveScreen(guest.state)
  const src = usePicture({ guestId: guest.id, dockId }, live, frame)
  const shown = live ? src : null
  const dark = guest.state.kind === 'stopped' || guest.state.kind === 'failed'
  return (
    <div className={dark ? 'monitor monitor--dark' : 'monitor'} ref={frame}>
      <div className="monitor__glass">
        {shown === null ? <Placeholder dark={dark} /> : <Screen src={shown} look={lookOf(guest)} />}
        {fill !== null && <Fill src={shown} share={fill} />}
        {guest.state.kind === 'paused' && (
          <span className="badge monitor__badge">
            <Pause size={14} aria-hidden /> paused
          </span>
        )}
      </div>
    </div>
  )
}

/** The monitor of a guest that is fetched before it runs: what its checkpoint shows, filling up. */
export function RestoringPicture({ checkpointId, share }: { checkpointId: string; share: number }) {
  const frame = useRef<HTMLDivElement>(null)
  const src = useCheckpointPicture({ id: checkpointId, hasPicture: true }, frame)
  return (
    <div className="monitor" ref={frame}>
      <div className="monitor__glass">
        {src === null ? <Placeholder dark={false} /> : <Screen src={src} look="ghost" />}
        <Fill src={src} share={share} />
      </div>
    </div>
  )
}

/** The monitor of a guest that did not come. */
export function UnpluggedMonitor() {
  return (
    <div className="monitor monitor--dark">
      <div className="monitor__glass">
        <span className="monitor__placeholder">
          <Unplug size={22} aria-hidden />
        </span>
      </div>
    </div>
  )
}

type Look = 'live' | 'still' | 'ghost'

function lookOf(guest: Guest): Look {
  if (guest.state.kind === 'arriving') return 'ghost'
  return guest.state.kind === 'paused' ? 'still' : 'live'
}

/** The name stands on the link around it, so the picture itself is silent. */
function Screen({ src, look }: { src: string; look: Look }) {
  return <img className={`monitor__image monitor__image--${look}`} src={src} alt="" draggable={false} />
}

function Fill({ src, share }: { src: string | null; share: number }) {
  const percent = Math.round(share * 100)
  const clipPath = `inset(${100 - percent}% 0 0 0)`
  return (
    <>
      <div className="monitor__fill" style={{ clipPath }}>
        {src !== null && <Screen src={src} look="live" />}
      </div>
      <div className="monitor__level" style={{ top: `${100 - percent}%` }} />
      <span className="monitor__percent">{percent} %</span>
    </>
  )
}

function Placeholder({ dark }: { dark: boolean }) {
  return (
    <span className="monitor__placeholder">
      {dark ? <Moon size={22} aria-hidden /> : <Monitor size={22} aria-hidden />}
    </span>
  )
}
