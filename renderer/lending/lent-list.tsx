/** Links that were given away: to what, until when, whether they work already, and the way to take them back. */
import { formatBytes } from '../../shared/format.ts'
import type { LentLink } from '../../shared/models/checkpoint.ts'
import { Button } from '../kit/button.tsx'
import { CopyButton } from '../kit/copy-button.tsx'
import { ErrorText } from '../kit/error-notice.tsx'
import { ProgressBar } from '../kit/progress-bar.tsx'
import { Moment } from '../kit/ticking.tsx'
import { lentWords } from '../model/lend-draft.ts'
import { useTimeText } from '../state/clock.ts'
import { ask, usePending } from '../state/ui-store.ts'

interface LentListProps {
  links: readonly LentLink[]
  /** Beside the checkpoint itself: leaves out what it says. */
  brief?: boolean
}

export function LentList({ links, brief = false }: LentListProps) {
  return (
    <ul className="lent" aria-label="Links">
      {links.map((link) => (
        <Lent key={link.shareId} link={link} brief={brief} />
      ))}
    </ul>
  )
}

function Lent({ link, brief }: { link: LentLink; brief: boolean }) {
  const pending = usePending(`share:${link.shareId}`)
  const hasEnded = useTimeText((nowMs) => String(link.endMs !== null && link.endMs <= nowMs)) === 'true'
  const mayWork = !hasEnded && link.state.kind !== 'failed'
  return (
    <li className="lent__one">
      <div className="lent__words">
        {!brief && (
          <p className="lent__name">
            {link.guestName}, <Moment atMs={link.atMs} />
          </p>
        )}
        <p className={brief ? undefined : 'lent__facts'}>
          <Lending link={link} />
          {' · '}
          <span className="lent__facts">
            lent <Moment atMs={link.lentAtMs} />
          </span>
        </p>
        {!hasEnded && <LentState link={link} />}
      </div>
      <div className="lent__buttons">
        {mayWork && <CopyButton look="plain" text={link.link} label="Copy" />}
        <Button disabled={pending} onClick={() => ask({ kind: 'revoke', link })}>
          {hasEnded ? 'Remove…' : 'Take back…'}
        </Button>
      </div>
    </li>
  )
}

function Lending({ link }: { link: LentLink }) {
  return useTimeText((nowMs) => lentWords(link, nowMs))
}

/** What a link leads to is prepared behind it; until that is done, its holder is told to wait. */
export function LentState({ link }: { link: LentLink }) {
  const { state } = link
  if (state.kind === 'failed') {
    return (
      <>
        <p className="lent__facts">This link leads nowhere: what it was for could not be prepared.</p>
        <ErrorText error={state.error} />
      </>
    )
  }
  if (state.kind === 'preparing') {
    const amount = `${formatBytes(state.doneBytes)} of ${formatBytes(state.totalBytes)}`
    return (
      <div className="lent__preparing">
        <ProgressBar
          label="Preparing what the link leads to"
          share={state.totalBytes === 0 ? null : Math.min(0.99, state.doneBytes / state.totalBytes)}
          words={amount}
        />
        <p className="lent__facts">Being prepared, {amount}. The link works when this is done.</p>
      </div>
    )
  }
  return null
}
