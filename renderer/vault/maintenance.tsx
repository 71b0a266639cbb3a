/** What the vault takes, whether it is whole, and freeing what no checkpoint uses. Each is asked for, none runs by itself. */
import { CircleCheck } from 'lucide-react'
import { formatBytes } from '../../shared/format.ts'
import type { VaultCheck, VaultStats } from '../../shared/models/checkpoint.ts'
import { vaultWorkWords } from '../../shared/words.ts'
import { Button } from '../kit/button.tsx'
import { ErrorNotice, ErrorText } from '../kit/error-notice.tsx'
import { Facts, Section } from '../kit/page.tsx'
import { Elapsed } from '../kit/ticking.tsx'
import { checkpointTitle, countWords } from '../model/checkpoint-words.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { cancelVaultJob, useVaultWork, type VaultJob } from '../state/vault-work.ts'

const jobs: readonly { job: VaultJob; name: string; doing: string }[] = [
  { job: 'stats', name: 'Count what it takes', doing: 'Counting' },
  { job: 'check', name: 'Check quickly', doing: 'Checking that everything is there' },
  { job: 'read', name: 'Check by reading everything', doing: 'Reading everything back' },
  { job: 'sweep', name: 'Free space now', doing: 'Freeing what no checkpoint uses' },
]

export function Maintenance() {
  const actions = useActions()
  const { running, stats, check, freedBytes, error } = useVaultWork()
  const doing = jobs.find(({ job }) => job === running?.job)?.doing
  return (
    <Section title="Space and health">
      {stats !== null && <StatsFacts stats={stats} />}
      {check !== null && <CheckOutcome result={check.result} wasRead={check.wasRead} />}
      {freedBytes !== null && <p role="status">{freedWords(freedBytes, stats)}</p>}
      {error !== null && <ErrorNotice error={error} />}
      <div className="form__buttons">
        {jobs.map(({ job, name }) => (
          <Button key={job} disabled={running !== null} onClick={() => void actions.vaultJob(job)}>
            {name}
          </Button>
        ))}
      </div>
      {running === null ? (
        <p className="field__hint">
          The quick check sees that everything is there; the other one reads every byte, which takes as long
          as fetching all of it.
        </p>
      ) : (
        <>
          <p className="field__hint" role="status">
            {doing} …{' '}
            <span aria-hidden>
              <Done job={running.job} />
              <Elapsed sinceMs={running.sinceMs} /> so far. You may leave this page meanwhile.
            </span>
          </p>
          {running.job !== 'stats' && (
            <div className="form__buttons">
              <Button onClick={cancelVaultJob}>Cancel</Button>
            </div>
          )}
        </>
      )}
    </Section>
  )
}

/** How far the host is with it, where it tells. */
function Done({ job }: { job: VaultJob }) {
  const kind = job === 'sweep' ? 'sweep' : 'check'
  const work = useHost((state) => state.vaultWorks.find(({ progress }) => progress.kind === kind))
  const words = job === 'stats' || work === undefined ? '' : vaultWorkWords(work)
  return words === '' ? null : <>{words}, </>
}

/** What was written in the last half hour may belong to a checkpoint that is on its way (vault/FORMAT.md, “Sweep”). */
function freedWords(freedBytes: number, stats: VaultStats | null): string {
  if (freedBytes > 0) return `Freed ${formatBytes(freedBytes)}.`
  return stats === null || stats.unusedBytes === 0
    ? 'There was nothing to free.'
    : 'Nothing could be freed yet: what is not in use is only freed half an hour after it was written. That is done by itself.'
}

function StatsFacts({ stats }: { stats: VaultStats }) {
  const { checkpoints, packs, storedBytes, unusedBytes, logicalBytes } = stats
  return (
    <Facts
      rows={[
        ['Takes', `${formatBytes(storedBytes)}, for ${countWords(checkpoints)}`],
        ['Would take', `${formatBytes(logicalBytes)} without sharing and compression`],
        ['Unused', unusedBytes === 0 ? 'nothing' : `${formatBytes(unusedBytes)} that no checkpoint needs`],
        ['Data files', String(packs)],
      ]}
    />
  )
}

function CheckOutcome({ result, wasRead }: { result: VaultCheck; wasRead: boolean }) {
  const checkpoints = useHost((state) => state.checkpoints)
  const { damaged } = result
  const read = wasRead ? `, ${formatBytes(result.readBytes)} read` : ''
  if (damaged.length === 0) {
    return (
      <p className="vault-setup__found" role="status">
        <CircleCheck size={17} aria-hidden /> Checked {countWords(result.checkpoints)}
        {read}: everything is whole.
      </p>
    )
  }
  const nameOf = (id: string): string => {
    const found = checkpoints.find((each) => each.id === id)
    return found === undefined ? 'A checkpoint' : `${found.guestName}, ${checkpointTitle(found, Date.now())}`
  }
  return (
    <div className="notice notice--error" role="alert">
      <div className="notice__body">
        <p className="notice__title">
          {damaged.length} of {countWords(result.checkpoints)} cannot be restored{read}
        </p>
        <ul className="panel__list">
          {damaged.map(({ checkpointId, error }) => (
            <li key={checkpointId}>
              <p className="lent__name">{nameOf(checkpointId)}</p>
              <ErrorText error={error} />
            </li>
          ))}
        </ul>
      </div>
    </div>
  )
}
