/** Moves as a table, newest first. On a narrow window each row becomes a small card. */
import { ArrowRight } from 'lucide-react'
import { formatBytes, formatDuration } from '../../shared/format.ts'
import type { MigrationRecord } from '../../shared/models/migration.ts'
import { outcomeWord } from '../../shared/words.ts'
import { dateWords } from '../model/dates.ts'
import { routeHref } from '../state/route.ts'

interface MigrationTableProps {
  records: readonly MigrationRecord[]
  hideGuest?: boolean
}

export function MigrationTable({ records, hideGuest = false }: MigrationTableProps) {
  return (
    <table className="table">
      <thead>
        <tr>
          {!hideGuest && <th scope="col">Guest</th>}
          <th scope="col">From → to</th>
          <th scope="col">When</th>
          <th scope="col">Outcome</th>
          <th scope="col" className="table__number">
            Time
          </th>
          <th scope="col" className="table__number">
            Freeze
          </th>
          <th scope="col" className="table__number">
            Sent
          </th>
        </tr>
      </thead>
      <tbody>
        {records.map((record) => (
          <Row key={record.id} record={record} hideGuest={hideGuest} />
        ))}
      </tbody>
    </table>
  )
}

function Row({ record, hideGuest }: { record: MigrationRecord; hideGuest: boolean }) {
  const { outcome } = record
  const result = outcome.kind === 'done' ? outcome.result : null
  return (
    <tr>
      {!hideGuest && (
        <td className="table__main" data-label="Guest">
          {record.guestName}
        </td>
      )}
      <td data-label="From → to">
        <span className="table__way">
          <bdi>{record.fromDockName}</bdi>
          <ArrowRight className="table__arrow" size={13} aria-label="to" />
          <bdi>{record.toDockName}</bdi>
        </span>
      </td>
      <td className="table__when" data-label="When">
        {dateWords(record.startedAtMs)}
      </td>
      <td data-label="Outcome">
        <a
          className={`outcome outcome--${outcome.kind}`}
          href={routeHref({ kind: 'migration', id: record.id })}
        >
          {outcomeWord(outcome)}
          {record.switchover === 'post-copy' && ', post-copy'}
        </a>
      </td>
      <td className="table__number" data-label="Time">
        {formatDuration(result?.totalMs ?? record.endedAtMs - record.startedAtMs)}
      </td>
      <td className="table__number" data-label="Freeze">
        {result === null ? '–' : formatDuration(result.downtimeMs)}
      </td>
      <td className="table__number" data-label="Sent">
        {result === null ? '–' : formatBytes(result.wireBytes)}
      </td>
    </tr>
  )
}
