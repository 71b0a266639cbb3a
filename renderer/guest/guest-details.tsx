/** What a guest is made of, with the field's terms. */
import { Pencil } from 'lucide-react'
import { formatBytes, formatMemory } from '../../shared/format.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { Button } from '../kit/button.tsx'
import { Facts } from '../kit/page.tsx'
import { Uptime } from '../kit/ticking.tsx'
import { dateWords } from '../model/dates.ts'
import { coresWord } from '../model/guest-words.ts'
import { useHost } from '../state/app-context.tsx'
import { ask } from '../state/ui-store.ts'

const bootWords: Record<Guest['bootKind'], string> = {
  disk: 'its disk',
  iso: 'an installation image',
  kernel: 'a kernel file',
}

export function GuestDetails({ guest }: { guest: Guest }) {
  const docks = useHost((state) => state.docks)
  const hereId = useHost((state) => state.info.dockId)
  const nameOf = (id: string): string =>
    docks.find((dock) => dock.id === id)?.name ?? 'a PC that is not known here'
  return (
    <>
      <Facts
        rows={[
          ['Runs on', nameOf(guest.dockId)],
          ['Home', nameOf(guest.homeDockId)],
          ['Speed', guest.accelerator.sentence],
          ['Cores', `${coresWord(guest.cores)}, room for ${guest.maxCores}`],
          ['Memory', `${formatMemory(guest.memoryBytes)}, room for ${formatMemory(guest.maxMemoryBytes)}`],
          ['Disk', `${formatBytes(guest.diskBytes)}, ${formatBytes(guest.diskUsedBytes)} used on that PC`],
          ['Starts from', bootWords[guest.bootKind]],
          ['Network', guest.network === 'user' ? 'internet through the PC it runs on' : 'none'],
          ['Machine', guest.machine],
          ['CPU model', guest.cpuModel],
          ['Uptime', guest.bootedAtMs === null ? 'off' : <Uptime key="uptime" sinceMs={guest.bootedAtMs} />],
          ['Created', dateWords(guest.createdAtMs)],
          ['Identity', <code key="id">{guest.id}</code>],
        ]}
      />
      {guest.dockId === hereId && (
        <Button icon={<Pencil size={15} aria-hidden />} onClick={() => ask({ kind: 'rename', guest })}>
          Rename…
        </Button>
      )}
    </>
  )
}
