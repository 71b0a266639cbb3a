/**
 * What is worth a desktop notification: a guest arrived or left by somebody else's click, a move failed, a checkpoint
 * that was to be made by itself failed, a dock asks to be paired. Pure: two states in, the news between them out. Nothing that was already there at the
 * first state is news.
 */
import { formatDuration } from '../../shared/format.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import type { Operation } from '../../shared/models/operation.ts'

export interface Notice {
  title: string
  body: string
  /** The view that a click opens. */
  route: string
  urgent: boolean
}

export function noticesBetween(before: HostState | null, after: HostState): Notice[] {
  if (before === null) return []
  return [...pairingNotices(before, after), ...operationNotices(before, after)]
}

function pairingNotices(before: HostState, after: HostState): Notice[] {
  return after.pairings
    .filter((pairing) => pairing.role === 'responder' && pairing.state.kind === 'comparing')
    .filter((pairing) => {
      const known = before.pairings.find((other) => other.id === pairing.id)
      return known === undefined || known.state.kind === 'waiting-for-peer'
    })
    .map((pairing) => ({
      title: `${pairing.dockName} wants to pair`,
      body: 'Compare the six digits on both screens.',
      route: `#/pair/${encodeURIComponent(pairing.id)}`,
      urgent: true,
    }))
}

function operationNotices(before: HostState, after: HostState): Notice[] {
  const notices: Notice[] = []
  for (const operation of after.operations) {
    const known = before.operations.find((other) => other.id === operation.id)
    // A list of ended operations comes with the first snapshot after a reconnect: only changes are news.
    if (known === undefined || known.state.kind === operation.state.kind) continue
    const notice = noticeOf(operation, after)
    if (notice !== null) notices.push(notice)
  }
  return notices
}

function noticeOf(operation: Operation, state: HostState): Notice | null {
  if (operation.work.kind === 'checkpoint') return checkpointNotice(operation, state)
  if (operation.work.kind !== 'migration') return null
  const arrived = operation.work.toDockId === state.info.dockId
  const route = `#/guest/${operation.work.toDockId}/${operation.guestId}`
  if (operation.state.kind === 'failed') {
    const { message, fix } = operation.state.error
    return {
      title: `${operation.guestName} could not move`,
      body: `${message} ${fix}`,
      route: `#/migration/${encodeURIComponent(operation.id)}`,
      urgent: true,
    }
  }
  if (operation.state.kind !== 'done') return null
  return { title: movedTitle(operation.guestName, arrived), body: movedBody(operation), route, urgent: false }
}

/** One that was to be made by itself: who asked for one looks at the screen. */
function checkpointNotice(operation: Operation, { info }: HostState): Notice | null {
  const { work, state, guestName, guestId } = operation
  if (work.kind !== 'checkpoint' || work.reason === 'person' || state.kind !== 'failed') return null
  return {
    title: `No checkpoint of ${guestName} was made`,
    body: `${state.error.message} ${state.error.fix}`,
    route: `#/guest/${info.dockId}/${guestId}`,
    urgent: false,
  }
}

function movedTitle(guestName: string, arrived: boolean): string {
  return arrived ? `${guestName} is here` : `${guestName} has moved away`
}

function movedBody(operation: Operation): string {
  const result = operation.work.kind === 'migration' ? operation.work.result : null
  if (result === null) return ''
  return `Moved in ${formatDuration(result.totalMs)}, freeze of ${formatDuration(result.downtimeMs)}.`
}
