/** What a guest's screen showed at the instant of a checkpoint. The words beside it say what it is, so it is silent. */
import { ImageOff, Power } from 'lucide-react'
import { useRef } from 'react'
import { useCheckpointPicture } from '../state/checkpoint-pictures.ts'

interface CheckpointPictureProps {
  checkpoint: { id: string; hasPicture: boolean; hasMemory: boolean }
}

export function CheckpointPicture({ checkpoint }: CheckpointPictureProps) {
  const frame = useRef<HTMLDivElement>(null)
  const src = useCheckpointPicture(checkpoint, frame)
  return (
    <div className="photo" ref={frame}>
      {/* While it is on its way the frame is dark: hundreds of placeholders would cost more than they say. */}
      {(src !== null || !checkpoint.hasPicture) && <Photo src={src} hasMemory={checkpoint.hasMemory} />}
    </div>
  )
}

/** @param hasMemory false for a guest that was switched off */
export function Photo({ src, hasMemory }: { src: string | null; hasMemory: boolean }) {
  if (src !== null) return <img className="photo__image" src={src} alt="" draggable={false} />
  return (
    <span className="photo__none">
      {hasMemory ? <ImageOff size={20} aria-hidden /> : <Power size={20} aria-hidden />}
    </span>
  )
}
