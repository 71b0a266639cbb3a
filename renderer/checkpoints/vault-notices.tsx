/** What must be known of the vault wherever checkpoints are shown: that it is away, or that its phrase is not kept. */
import type { ReactNode } from 'react'
import { assertNever } from '../../shared/assert-never.ts'
import type { VaultState } from '../../shared/models/checkpoint.ts'
import { buttonClass } from '../kit/button.tsx'
import { ErrorDetail, ErrorNotice } from '../kit/error-notice.tsx'
import { Notice } from '../kit/notice.tsx'
import { Empty } from '../kit/page.tsx'
import { Moment } from '../kit/ticking.tsx'
import { useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'

export function VaultNotices() {
  const vault = useHost((state) => state.vault)
  switch (vault.kind) {
    case 'none':
      return null
    case 'opening':
      return <p role="status">Opening {vault.placeSentence} …</p>
    case 'failed':
      return (
        <ErrorNotice error={vault.error}>
          <VaultLink name="See what to do" />
        </ErrorNotice>
      )
    case 'ready':
      return (
        <>
          {vault.trouble !== null && (
            <VaultTrouble trouble={vault.trouble}>
              <VaultLink name="To the vault" />
            </VaultTrouble>
          )}
          <ListNotice vault={vault} />
          {!vault.phraseSeen && (
            <Notice title="Write down the recovery phrase">
              <p>Without its 24 words, nobody can open the vault after this PC is lost.</p>
              <VaultLink name="Write it down" />
            </Notice>
          )}
        </>
      )
    default:
      return assertNever(vault)
  }
}

type ReadyVault = Extract<VaultState, { kind: 'ready' }>

/** Until the list of checkpoints was read, what is not shown may still be there. */
function ListNotice({ vault: { checkpointList: list, trouble } }: { vault: ReadyVault }) {
  if (list.kind === 'read') return null
  if (list.kind === 'reading') return <p role="status">Reading the list of checkpoints …</p>
  return (
    <Notice title="Some checkpoints may be missing here">
      <p>Their list could not be read yet, which is tried again every few minutes.</p>
      {trouble === null && <p>{list.error.message}</p>}
    </Notice>
  )
}

interface VaultTroubleProps {
  trouble: NonNullable<ReadyVault['trouble']>
  /** The way to where new access is entered. */
  children?: ReactNode
}

/** What passes goes on by itself; what does not wants new access. */
export function VaultTrouble({ trouble: { error, sinceMs }, children }: VaultTroubleProps) {
  const since = (
    <p className="field__hint">
      Since <Moment atMs={sinceMs} />.
    </p>
  )
  if (error.permanent) {
    return (
      <ErrorNotice error={error}>
        {since}
        {children}
      </ErrorNotice>
    )
  }
  return (
    <Notice title={error.message}>
      <p>{error.fix}</p>
      {since}
      <ErrorDetail detail={error.detail} />
    </Notice>
  )
}

function VaultLink({ name }: { name: string }) {
  return (
    <a className={buttonClass('plain', true)} href={routeHref({ kind: 'vault' })}>
      {name}
    </a>
  )
}

/** Where checkpoints would be, while there is no place for them. `children` are further buttons. */
export function NoVault({ children }: { children?: ReactNode }) {
  return (
    <Empty title="No place for checkpoints yet">
      <p>
        A checkpoint is a running guest at one instant: its memory, its disk, its screen. Choose where they
        shall be kept, such as a folder or cloud storage, and you can go back to any of them, on any PC.
      </p>
      <div className="empty__buttons">
        <a className={buttonClass('primary')} href={routeHref({ kind: 'vault' })}>
          Choose a place
        </a>
        {children}
      </div>
    </Empty>
  )
}
