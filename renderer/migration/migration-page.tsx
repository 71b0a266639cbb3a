/** One move one click deeper: rates over time while it runs, and the figures afterwards. */
import { TriangleAlert } from 'lucide-react'
import { formatBytes, formatDuration, formatRate } from '../../shared/format.ts'
import type { MigrationRecord } from '../../shared/models/migration.ts'
import type { MigrationResult, Operation } from '../../shared/models/operation.ts'
import { amountWords, paceWords, phaseWord, transferWords, waitingWords } from '../../shared/words.ts'
import { CancelButton } from '../desk/work-lines.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { Empty, Facts, Page, Section } from '../kit/page.tsx'
import { ProgressBar } from '../kit/progress-bar.tsx'
import { dateWords } from '../model/dates.ts'
import { doneShare, stepsOf } from '../model/migration-words.ts'
import { useHost } from '../state/app-context.tsx'
import { RateChart } from './rate-chart.tsx'

type MigrationWork = Extract<Operation['work'], { kind: 'migration' }>

export function MigrationPage({ id }: { id: string }) {
  const operation = useHost((state) => state.operations.find((each) => each.id === id))
  const record = useHost((state) => state.migrations.find((each) => each.id === id))
  if (operation?.work.kind === 'migration') {
    return <OperationPage operation={operation} work={operation.work} />
  }
  if (record !== undefined) return <RecordPage record={record} />
  return (
    <Page title="Move">
      <Empty title="This move is not known here">
        <p>It may be older than the history that is kept.</p>
      </Empty>
    </Page>
  )
}

function OperationPage({ operation, work }: { operation: Operation; work: MigrationWork }) {
  const docks = useHost((state) => state.docks)
  const nameOf = (id: string): string => docks.find((dock) => dock.id === id)?.name ?? 'another PC'
  const { state } = operation
  const live = state.kind === 'running' || state.kind === 'cancelling'
  return (
    <Page
      title={`${operation.guestName}: ${nameOf(work.fromDockId)} → ${nameOf(work.toDockId)}`}
      aside={<CancelButton operation={operation} />}
    >
      {live && <LiveFigures operation={operation} work={work} toName={nameOf(work.toDockId)} />}
      {state.kind === 'failed' && <ErrorNotice error={state.error} />}
      {state.kind === 'cancelled' && <p>It was cancelled. The guest runs on where it was.</p>}
      {state.kind === 'done' && <ResultFacts result={work.result} />}
      <Section title="Rates">
        <RateChart samples={work.samples} />
      </Section>
      {live && <PhaseList work={work} />}
    </Page>
  )
}

interface LiveFiguresProps {
  operation: Operation
  work: MigrationWork
  toName: string
}

function LiveFigures({ operation, work, toName }: LiveFiguresProps) {
  const { progress } = operation
  return (
    <>
      <div className="live">
        <ProgressBar
          label={`Moving ${operation.guestName}`}
          share={doneShare(progress)}
          words={`${phaseWord(work.phase)}, ${amountWords(progress)}`}
        />
        <p className="live__words">
          {amountWords(progress)} · {paceWords(progress)}
        </p>
        {work.phase === 'copying-memory' && work.transfer !== null && (
          <p className="live__transfer">{transferWords(work.transfer, toName)}</p>
        )}
        {work.phase === 'waiting-for-link' && (
          <p className="live__note">
            <TriangleAlert size={15} aria-hidden /> {waitingWords(operation.guestName, toName)}
          </p>
        )}
        {work.throttlePercent > 0 && (
          <p className="live__note">
            <TriangleAlert size={15} aria-hidden /> slowing the guest to finish ({work.throttlePercent} %
            slower)
          </p>
        )}
      </div>
      <Facts
        rows={[
          ['Dirty rate', `${formatRate(work.dirtyRateBytesPerS)} – what the guest changes meanwhile`],
          ['Rounds', String(work.rounds)],
        ]}
      />
    </>
  )
}

function PhaseList({ work }: { work: MigrationWork }) {
  const steps = stepsOf(work)
  const at = steps.findIndex(({ phase }) => phase === work.phase)
  return (
    <Section title="Steps">
      <ol className="phases">
        {steps.map(({ phase, word, term }, index) => (
          <li
            key={phase}
            className={`phases__step phases__step--${index < at ? 'past' : index === at ? 'now' : 'next'}`}
            aria-current={index === at ? 'step' : undefined}
          >
            <span>{word}</span>
            <span className="phases__term">{term}</span>
          </li>
        ))}
      </ol>
    </Section>
  )
}

function ResultFacts({ result }: { result: MigrationResult | null }) {
  if (result === null) {
    return <p>It moved. The move was cut at the handover and settled afterwards, so there are no figures.</p>
  }
  const figures: [string, string, string][] = [
    ['Time', formatDuration(result.totalMs), 'from the click to the end'],
    ['Freeze', formatDuration(result.downtimeMs), 'how long the guest stood still'],
    [
      'Sent',
      formatBytes(result.wireBytes),
      `${formatBytes(result.memoryBytes)} memory, ${formatBytes(result.diskBytes)} disk`,
    ],
    ['Rounds', String(result.rounds), 'passes over its memory'],
  ]
  return (
    <dl className="figures">
      {figures.map(([name, value, note]) => (
        <div key={name} className="figures__one">
          <dt>{name}</dt>
          <dd>
            <span className="figures__value">{value}</span>
            <span className="figures__note">{note}</span>
          </dd>
        </div>
      ))}
    </dl>
  )
}

function RecordPage({ record }: { record: MigrationRecord }) {
  const { outcome } = record
  return (
    <Page
      title={`${record.guestName}: ${record.fromDockName} → ${record.toDockName}`}
      subtitle={<p className="page__subtitle">{dateWords(record.startedAtMs)}</p>}
    >
      {outcome.kind === 'done' && <ResultFacts result={outcome.result} />}
      {outcome.kind === 'failed' && <ErrorNotice error={outcome.error} />}
      {outcome.kind === 'cancelled' && (
        <p>
          Cancelled after {formatDuration(record.endedAtMs - record.startedAtMs)}. The guest ran on at{' '}
          {record.fromDockName}.
        </p>
      )}
    </Page>
  )
}
