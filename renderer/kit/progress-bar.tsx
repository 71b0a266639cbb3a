/** A bar that always comes with its number in words. */
import { Progress } from '@base-ui/react/progress'

interface ProgressBarProps {
  label: string
  /** 0 to 1, or null while the whole is unknown. */
  share: number | null
  /** What a screen reader says in place of the percentage. */
  words: string
}

export function ProgressBar({ label, share, words }: ProgressBarProps) {
  const percent = share === null ? null : Math.round(share * 100)
  return (
    <Progress.Root className="bar" value={percent} aria-label={label} getAriaValueText={() => words}>
      <Progress.Track className="bar__track">
        <Progress.Indicator className="bar__fill" />
      </Progress.Track>
    </Progress.Root>
  )
}
