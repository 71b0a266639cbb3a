/**
 * Keeps this PC awake while a guest moves, has what is wanted done before it sleeps, and writes down when it slept,
 * which explains most links that broke.
 * A sleep in the middle of a move is settled like any other broken link.
 */
import type { PowerMonitor, PowerSaveBlocker } from 'electron'
import type { HostState } from '../../shared/models/host-state.ts'
import type { Log } from '../platform/log.ts'
import type { StateListener } from './host-follower.ts'

export function stayAwakeWhileMoving(blocker: PowerSaveBlocker): StateListener {
  let blockerId: number | null = null
  return (state) => {
    const moving = isMoving(state)
    if (moving && blockerId === null) blockerId = blocker.start('prevent-app-suspension')
    if (!moving && blockerId !== null) {
      blocker.stop(blockerId)
      blockerId = null
    }
  }
}

/**
 * Electron gives no time for it; the host's own watch does, where it has what it needs. Both may tell: the second finds
 * nothing left to do. @param beforeSleep logs its own failures
 */
export function followSleep(monitor: PowerMonitor, beforeSleep: () => Promise<void>, log: Log): void {
  monitor.on('suspend', () => {
    log.info('the PC goes to sleep')
    void beforeSleep()
  })
  monitor.on('resume', () => log.info('the PC woke up'))
}

export function isMoving(state: HostState): boolean {
  return state.operations.some(
    ({ work, state: { kind } }) => work.kind === 'migration' && (kind === 'running' || kind === 'cancelling'),
  )
}
