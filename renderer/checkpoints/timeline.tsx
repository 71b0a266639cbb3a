/**
 * The checkpoints of a guest as a strip of pictures, the newest at the left, day by day. One of them is selected: the
 * one that had the focus last. Arrow keys go from one to the next, page up and down by a day. Stays quick with
 * hundreds: a picture is asked for when it comes on the screen, and days that are not on it are not laid out.
 */
import { ArrowUpFromLine, Pin, TriangleAlert } from 'lucide-react'
import { type KeyboardEvent, memo, useId, useMemo } from 'react'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { checkpointReasonWord, checkpointSizeWords } from '../../shared/words.ts'
import { useToday } from '../kit/ticking.tsx'
import { countWords, dayTitle, pictureTitle, spokenCheckpoint } from '../model/checkpoint-words.ts'
import { clockWords } from '../model/dates.ts'
import { type Day, daysOf, stepFrom } from '../model/timeline.ts'
import { CheckpointPicture } from './checkpoint-picture.tsx'

/** From so many days on, there are links to them. */
const jumpFromDays = 3

interface TimelineProps {
  guestName: string
  checkpoints: readonly Checkpoint[]
  selected: Checkpoint
  onSelect: (checkpoint: Checkpoint) => void
}

export function Timeline({ guestName, checkpoints, selected, onSelect }: TimelineProps) {
  const id = useId()
  const days = useMemo(() => daysOf(checkpoints), [checkpoints])
  const todayMs = useToday()
  function onKeyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const next = stepFrom(days, selected.id, event.key)
    if (next === null) return
    event.preventDefault()
    const option = document.getElementById(optionId(id, next.id))
    option?.focus({ preventScroll: true })
    option?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }
  return (
    <div className="timeline">
      {days.length >= jumpFromDays && (
        <DayLinks
          days={days}
          todayMs={todayMs}
          onJump={(day) =>
            document.getElementById(dayId(id, day))?.scrollIntoView({ block: 'nearest', inline: 'start' })
          }
        />
      )}
      <div
        className="timeline__strip"
        role="listbox"
        aria-label={`Checkpoints of ${guestName}, newest first`}
        aria-orientation="horizontal"
        tabIndex={-1}
        onKeyDown={onKeyDown}
      >
        {days.map((day) => (
          <DayPictures
            key={day.startMs}
            id={id}
            day={day}
            todayMs={todayMs}
            selectedId={day.checkpoints.includes(selected) ? selected.id : null}
            onSelect={onSelect}
          />
        ))}
      </div>
    </div>
  )
}

function optionId(listId: string, checkpointId: string): string {
  return `${listId}-${checkpointId}`
}

function dayId(listId: string, day: Day): string {
  return `${listId}-${day.startMs}`
}

interface DayLinksProps {
  days: readonly Day[]
  todayMs: number
  onJump: (day: Day) => void
}

function DayLinks({ days, todayMs, onJump }: DayLinksProps) {
  return (
    <nav className="timeline__days" aria-label="Go to a day">
      {days.map((day) => (
        <button key={day.startMs} type="button" className="timeline__day-link" onClick={() => onJump(day)}>
          {dayTitle(day.startMs, todayMs)}
          <span className="timeline__count" title={countWords(day.checkpoints.length)}>
            {day.checkpoints.length}
          </span>
        </button>
      ))}
    </nav>
  )
}

interface DayPicturesProps {
  id: string
  day: Day
  todayMs: number
  /** Null where the selected one is of another day: such a day need not render again. */
  selectedId: string | null
  onSelect: (checkpoint: Checkpoint) => void
}

const DayPictures = memo(function DayPictures({ id, day, todayMs, selectedId, onSelect }: DayPicturesProps) {
  const title = dayTitle(day.startMs, todayMs)
  return (
    <fieldset className="timeline__day" aria-label={title} id={dayId(id, day)}>
      <p className="timeline__title" aria-hidden>
        {title}
      </p>
      <div className="timeline__pictures">
        {day.checkpoints.map((checkpoint) => (
          <Picture
            key={checkpoint.id}
            id={optionId(id, checkpoint.id)}
            checkpoint={checkpoint}
            spoken={spokenCheckpoint(checkpoint, todayMs)}
            isSelected={checkpoint.id === selectedId}
            onSelect={onSelect}
          />
        ))}
      </div>
    </fieldset>
  )
})

interface PictureProps {
  id: string
  checkpoint: Checkpoint
  spoken: string
  isSelected: boolean
  onSelect: (checkpoint: Checkpoint) => void
}

const Picture = memo(function Picture({ id, checkpoint, spoken, isSelected, onSelect }: PictureProps) {
  const { label, reason, atMs } = checkpoint
  const small =
    label.name === '' ? checkpointReasonWord(reason) : `${clockWords(atMs)}, ${checkpointReasonWord(reason)}`
  return (
    <div
      id={id}
      className="timeline__picture"
      role="option"
      aria-selected={isSelected}
      aria-label={spoken}
      tabIndex={isSelected ? 0 : -1}
      onFocus={() => onSelect(checkpoint)}
    >
      <div className="timeline__frame">
        <CheckpointPicture checkpoint={checkpoint} />
        <Badges checkpoint={checkpoint} />
      </div>
      <p className="timeline__name">
        <span className="timeline__text" title={label.name}>
          {pictureTitle(checkpoint)}
        </span>
      </p>
      <p className="timeline__small" title={small}>
        {small}
      </p>
      <p className="timeline__small">{checkpointSizeWords(checkpoint)}</p>
    </div>
  )
})

function Badges({ checkpoint: { label, place } }: { checkpoint: Checkpoint }) {
  return (
    <>
      {label.pinned && (
        <span className="badge timeline__pin" title="pinned">
          <Pin size={13} aria-hidden />
        </span>
      )}
      {place.kind === 'on-its-way' && (
        <span className="badge timeline__badge">
          <ArrowUpFromLine size={13} aria-hidden /> on its way
        </span>
      )}
      {place.kind === 'damaged' && (
        <span className="badge timeline__badge timeline__badge--bad">
          <TriangleAlert size={13} aria-hidden /> damaged
        </span>
      )}
    </>
  )
}
