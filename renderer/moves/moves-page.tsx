/** Every move that began or ended on this PC. */
import { Empty, Page } from '../kit/page.tsx'
import { useHost } from '../state/app-context.tsx'
import { MigrationTable } from './migration-table.tsx'

export function MovesPage() {
  const migrations = useHost((state) => state.migrations)
  return (
    <Page title="Moves" wide>
      {migrations.length === 0 ? (
        <Empty title="No guest has moved yet">
          <p>
            Press “Migrate to this PC” under a guest on another desk. Every move is listed here afterwards.
          </p>
        </Empty>
      ) : (
        <MigrationTable records={migrations} />
      )}
    </Page>
  )
}
