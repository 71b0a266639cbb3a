/** How a guest's state looks and what can be done with it; the words of states are in `shared/words.ts`. Pure. */
import type { ErrorShape } from '../../shared/errors/index.ts'
import { formatMemory } from '../../shared/format.ts'
import type { Accelerator } from '../../shared/models/dock.ts'
import type { Guest, GuestState } from '../../shared/models/guest.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { guestStateWord } from '../../shared/words.ts'
import type { GuestCommand } from '../state/actions.ts'

/** How a state looks: one of few tones, so that colour never carries more than the words do. */
export type Tone = 'on' | 'waiting' | 'off' | 'trouble'

export function stateTone(state: GuestState): Tone {
  switch (state.kind) {
    case 'running':
      return 'on'
    case 'stopped':
      return 'off'
    case 'unsettled':
    case 'failed':
      return 'trouble'
    case 'paused':
      return state.reason === undefined ? 'waiting' : 'trouble'
    default:
      return 'waiting'
  }
}

/** What stopped a guest, if it was not a person. */
export function troubleOf(state: GuestState): ErrorShape | null {
  if (state.kind === 'failed') return state.error
  return state.kind === 'paused' ? (state.reason ?? null) : null
}

export function coresWord(cores: number): string {
  return cores === 1 ? '1 core' : `${cores} cores`
}

/** What stands in place of a screen that shows nothing. */
export function darkSentence(name: string, state: GuestState): string {
  switch (state.kind) {
    case 'failed':
      return `${name} has stopped with an error`
    case 'unsettled':
      return `${name} is paused until its move is settled`
    default:
      return `${name} is ${guestStateWord(state)}`
  }
}

/** `2 cores`, `512 MiB` */
export function sizeWords(guest: Pick<Guest, 'cores' | 'memoryBytes'>): string[] {
  return [coresWord(guest.cores), formatMemory(guest.memoryBytes)]
}

/** One word on speed; the sentence behind it stands in the guest's details. */
export function acceleratorWord(accelerator: Accelerator): string {
  return accelerator.kind === 'kvm' ? 'full speed (KVM)' : 'emulated, slower'
}

/** True where the guest has a picture that changes. */
export function hasLiveScreen(state: GuestState): boolean {
  return state.kind === 'running' || state.kind === 'paused' || state.kind === 'shutting-down'
}

export interface CommandChoice {
  command: GuestCommand
  label: string
}

const choices: Record<GuestCommand, CommandChoice> = {
  start: { command: 'start', label: 'Start' },
  pause: { command: 'pause', label: 'Pause' },
  resume: { command: 'resume', label: 'Resume' },
  shutDown: { command: 'shutDown', label: 'Shut down' },
  forceOff: { command: 'forceOff', label: 'Force off…' },
}

/** What makes sense in a state, the most likely wish first. */
export function commandsFor(state: GuestState): CommandChoice[] {
  switch (state.kind) {
    case 'stopped':
    case 'failed':
      return [choices.start]
    case 'running':
      return [choices.pause, choices.shutDown, choices.forceOff]
    case 'paused':
      return [choices.resume, choices.forceOff]
    case 'shutting-down':
    case 'starting':
      return [choices.forceOff]
    default:
      return []
  }
}

export function canDelete(guest: Guest): boolean {
  return guest.operationId === null && (guest.state.kind === 'stopped' || guest.state.kind === 'failed')
}

/** Whether a person may use it now: an operation holds it, unless that only brings the rest of its memory. */
export function isUsable(guest: Guest, operations: readonly Operation[]): boolean {
  const holder = operations.find(({ id }) => id === guest.operationId)
  if (holder?.work.kind !== 'migration' || holder.work.toDockId !== guest.dockId)
    return guest.operationId === null
  return holder.work.phase === 'fetching-rest' || holder.work.phase === 'waiting-for-link'
}

/** Whether moving is worth offering; the host's check says whether it will work. */
export function mayMove(guest: Guest): boolean {
  return (
    !['arriving', 'preparing', 'leaving', 'unsettled'].includes(guest.state.kind) &&
    guest.operationId === null
  )
}
