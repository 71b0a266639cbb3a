/** Where a guest of the vault is now, in a few words. */
import type { Guest } from '../../shared/models/guest.ts'
import { useHost } from '../state/app-context.tsx'

export function WhereNow({ guest }: { guest: Guest | null }) {
  const dock = useHost(({ docks }) => docks.find(({ id }) => id === guest?.dockId) ?? null)
  if (guest === null) return 'on no PC in sight'
  if (dock?.presence.kind === 'here') return 'on this PC'
  return `on ${dock?.name ?? 'another PC'}`
}
