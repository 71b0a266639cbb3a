/**
 * Every guest that has checkpoints in the vault, wherever it is now, each with its newest picture: the way back
 * after a PC was lost. And the links to checkpoints that this PC gave away.
 */
import { Link2, LockKeyhole } from 'lucide-react'
import { useMemo } from 'react'
import { buttonClass } from '../kit/button.tsx'
import { Empty, Page, Section } from '../kit/page.tsx'
import { Ago } from '../kit/ticking.tsx'
import { LentList } from '../lending/lent-list.tsx'
import { checkpointsAreListed, countWords, lentListWords } from '../model/checkpoint-words.ts'
import { type KeptGuest, keptGuests } from '../model/timeline.ts'
import { useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { CheckpointPicture } from './checkpoint-picture.tsx'
import { NoVault, VaultNotices } from './vault-notices.tsx'
import { WhereNow } from './where-now.tsx'

export function CheckpointsPage() {
  const vault = useHost((state) => state.vault)
  if (vault.kind === 'none') {
    return (
      <Page title="Checkpoints" wide>
        <NoVault>
          <PasteLink />
        </NoVault>
        <Lent />
      </Page>
    )
  }
  return (
    <Page
      title="Checkpoints"
      wide
      subtitle={vault.placeSentence !== '' && <p className="page__subtitle">In {vault.placeSentence}</p>}
      aside={
        <>
          <PasteLink />
          <a className={buttonClass('plain')} href={routeHref({ kind: 'vault' })}>
            <LockKeyhole size={16} aria-hidden /> The vault
          </a>
        </>
      }
    >
      <VaultNotices />
      <KeptGuests />
      <Lent />
    </Page>
  )
}

function PasteLink() {
  return (
    <a className={buttonClass('plain')} href={routeHref({ kind: 'receive', link: null })}>
      <Link2 size={16} aria-hidden /> Paste a link
    </a>
  )
}

function KeptGuests() {
  const checkpoints = useHost((state) => state.checkpoints)
  const guests = useHost((state) => state.guests)
  const areListed = useHost((state) => checkpointsAreListed(state.vault))
  const kept = useMemo(() => keptGuests(checkpoints, guests), [checkpoints, guests])
  if (kept.length === 0 && !areListed) return null
  if (kept.length === 0) {
    return (
      <Empty title="The vault is empty">
        <p>Choose “Checkpoint now” from the menu of a guest on the desk. The guest runs on meanwhile.</p>
      </Empty>
    )
  }
  return (
    <ul className="kept" aria-label="Guests in the vault">
      {kept.map((each) => (
        <li key={each.guestId}>
          <KeptCard kept={each} />
        </li>
      ))}
    </ul>
  )
}

function KeptCard({ kept }: { kept: KeptGuest }) {
  return (
    <a className="kept__card" href={routeHref({ kind: 'checkpoints', guestId: kept.guestId })}>
      <CheckpointPicture checkpoint={kept.newest} />
      <span className="kept__words">
        <span className="kept__name">{kept.name}</span>
        <span className="kept__facts">
          {countWords(kept.count)} · newest <Ago atMs={kept.newest.atMs} />
        </span>
        <span className="kept__facts">
          <WhereNow guest={kept.guest} />
        </span>
      </span>
    </a>
  )
}

function Lent() {
  const links = useHost((state) => state.lentLinks)
  const vault = useHost((state) => state.vault)
  const words = lentListWords(links.length, vault)
  if (links.length === 0 && words === null) return null
  return (
    <Section title="Lent from this PC">
      {links.length > 0 && <LentList links={links} />}
      {words !== null && <p className="field__hint">{words}</p>}
    </Section>
  )
}
