/**
 * One guest: its screen first, then its checkpoints, what it went through, what it is, and its log. It follows the
 * guest when it moves.
 */
import { Tabs } from '@base-ui/react/tabs'
import { Play } from 'lucide-react'
import { useMemo } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { guestStateWord } from '../../shared/words.ts'
import { GuestCheckpoints } from '../checkpoints/guest-checkpoints.tsx'
import { BlockedNote } from '../desk/blocked-panel.tsx'
import { GuestMenu } from '../desk/guest-menu.tsx'
import { MoveButton } from '../desk/move-button.tsx'
import { EndedLine, WorkLines } from '../desk/work-lines.tsx'
import { Button } from '../kit/button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { Empty, Page } from '../kit/page.tsx'
import { StateLine } from '../kit/state-line.tsx'
import { findGuest, isUnderWay, latestOperations } from '../model/desk-view.ts'
import { acceleratorWord, mayMove, stateTone } from '../model/guest-words.ts'
import { MigrationTable } from '../moves/migration-table.tsx'
import { guestKey } from '../state/actions.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { type GuestTab, guestTabs, navigate, type Route } from '../state/route.ts'
import { usePending } from '../state/ui-store.ts'
import { GuestDetails } from './guest-details.tsx'
import { GuestLog } from './guest-log.tsx'
import { GuestScreen } from './guest-screen.tsx'
import { Unsettled } from './unsettled.tsx'

const tabNames: Record<GuestTab, string> = {
  screen: 'Screen',
  checkpoints: 'Checkpoints',
  moves: 'Moves',
  details: 'Details',
  log: 'Log',
}

type GuestRoute = Extract<Route, { kind: 'guest' }>

export function GuestPage({ route }: { route: GuestRoute }) {
  const guest = useHost((state) => findGuest(state.guests, route.guestId, route.dockId))
  if (guest === null) {
    return (
      <Page title="Guest">
        <WorkOf guestId={route.guestId} />
        <Empty title="This guest is not in reach">
          <p>It may have been deleted, or the PC it runs on is away.</p>
        </Empty>
      </Page>
    )
  }
  return (
    <Page wide title={guest.name} subtitle={<Subtitle guest={guest} />} aside={<PageActions guest={guest} />}>
      <WorkOf guestId={guest.id} exceptCheckpoints={route.tab === 'checkpoints'} />
      {guest.state.kind === 'unsettled' && <Unsettled guest={guest} unsettled={guest.state} />}
      {guest.state.kind === 'paused' && guest.state.reason !== undefined && (
        <StoppedByTrouble guest={guest} reason={guest.state.reason} />
      )}
      <Tabs.Root value={route.tab} onValueChange={(tab: GuestTab) => navigate({ ...route, tab })}>
        <Tabs.List className="tabs" aria-label={`About ${guest.name}`}>
          {guestTabs.map((tab) => (
            <Tabs.Tab key={tab} value={tab} className="tabs__tab">
              {tabNames[tab]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={route.tab} className="tabs__panel">
          <TabContent guest={guest} tab={route.tab} />
        </Tabs.Panel>
      </Tabs.Root>
    </Page>
  )
}

function TabContent({ guest, tab }: { guest: Guest; tab: GuestTab }) {
  switch (tab) {
    case 'screen':
      return <GuestScreen guest={guest} />
    case 'checkpoints':
      return <GuestCheckpoints guest={guest} />
    case 'moves':
      return <GuestMoves guestId={guest.id} />
    case 'details':
      return <GuestDetails guest={guest} />
    case 'log':
      return <GuestLog guest={guest} />
  }
}

/** It stands still until somebody mends what stopped it and lets it go on. */
function StoppedByTrouble({ guest, reason }: { guest: Guest; reason: ErrorShape }) {
  const actions = useActions()
  const isHere = useHost((state) => state.info.dockId === guest.dockId)
  const pending = usePending(guestKey(guest.id))
  return (
    <ErrorNotice error={reason}>
      {isHere && (
        <Button
          disabled={pending || guest.operationId !== null}
          icon={<Play size={15} aria-hidden />}
          onClick={() => void actions.command(guest, 'resume')}
        >
          Resume
        </Button>
      )}
    </ErrorNotice>
  )
}

function Subtitle({ guest }: { guest: Guest }) {
  const dockName = useHost(
    (state) => state.docks.find((dock) => dock.id === guest.dockId)?.name ?? 'another PC',
  )
  return (
    <StateLine
      guest={guest}
      word={`${guestStateWord(guest.state)} on ${dockName}`}
      tone={stateTone(guest.state)}
    />
  )
}

function PageActions({ guest }: { guest: Guest }) {
  const hereId = useHost((state) => state.info.dockId)
  const docks = useHost((state) => state.docks)
  const targets = useMemo(
    () => docks.filter((dock) => dock.presence.kind === 'online' && dock.paired),
    [docks],
  )
  const isHere = guest.dockId === hereId
  const request = { guestId: guest.id, fromDockId: guest.dockId, toDockId: hereId }
  return (
    <>
      {!isHere && mayMove(guest) && (
        <MoveButton request={request} label="Migrate to this PC" hint={acceleratorWord(guest.accelerator)} />
      )}
      <GuestMenu guest={guest} isHere={isHere} targets={targets} />
    </>
  )
}

interface WorkOfProps {
  guestId: string
  /** They are told at their own place on this page. */
  exceptCheckpoints?: boolean
}

function WorkOf({ guestId, exceptCheckpoints = false }: WorkOfProps) {
  const operations = useHost((state) => state.operations)
  const operation = latestOperations(operations).get(guestId) ?? null
  const shown = exceptCheckpoints && operation?.work.kind === 'checkpoint' ? null : operation
  return (
    <>
      <BlockedNote guestId={guestId} />
      {shown !== null && (
        <div className="page__work">
          {isUnderWay(shown) ? <WorkLines operation={shown} /> : <EndedLine operation={shown} />}
        </div>
      )}
    </>
  )
}

function GuestMoves({ guestId }: { guestId: string }) {
  const migrations = useHost((state) => state.migrations)
  const own = migrations.filter((record) => record.guestId === guestId)
  if (own.length === 0) {
    return (
      <Empty title="It has not moved yet">
        <p>Every move of this guest is kept here, with its time, freeze and bytes.</p>
      </Empty>
    )
  }
  return <MigrationTable records={own} hideGuest />
}
