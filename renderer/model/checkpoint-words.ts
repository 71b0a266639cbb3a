/** Checkpoints in words, and what can be done with them. Pure; the words of phases and reasons are in `shared/words.ts`. */
import type { Checkpoint, VaultState } from '../../shared/models/checkpoint.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { checkpointPlaceWord, checkpointReasonWord, checkpointSizeWords } from '../../shared/words.ts'
import { clockWords, dayWords, momentWords } from './dates.ts'

/** Its name, or its instant where nobody gave it one: `Today, 14:05` */
export function checkpointTitle(checkpoint: Checkpoint, nowMs: number): string {
  return checkpoint.label.name === '' ? capital(momentWords(checkpoint.atMs, nowMs)) : checkpoint.label.name
}

/** Under its picture, where the day is told already: its name, or its time. */
export function pictureTitle({ label, atMs }: Checkpoint): string {
  return label.name === '' ? clockWords(atMs) : label.name
}

/** Everything that a picture shows, for those who hear it. */
export function spokenCheckpoint(checkpoint: Checkpoint, nowMs: number): string {
  const { label, atMs, reason, place } = checkpoint
  const parts = [
    ...(label.name === '' ? [] : [label.name]),
    momentWords(atMs, nowMs),
    checkpointReasonWord(reason),
    checkpointSizeWords(checkpoint),
    checkpointPlaceWord(place),
    ...(label.pinned ? ['pinned'] : []),
  ]
  return parts.join(', ')
}

/** `Today`, at the head of the pictures of a day. */
export function dayTitle(startMs: number, nowMs: number): string {
  return capital(dayWords(startMs, nowMs))
}

function capital(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}

export function countWords(count: number): string {
  return count === 1 ? '1 checkpoint' : `${count} checkpoints`
}

/** Whether making one is worth offering; the host says whether it will work. */
export function mayCheckpoint(guest: Guest): boolean {
  return guest.operationId === null && ['running', 'paused', 'stopped'].includes(guest.state.kind)
}

/** Why a checkpoint cannot take the place of its guest, though a copy of it could be made; null where it can. */
export function sameProblem(guest: Guest | null, hereId: string, dockName: string): string | null {
  if (guest === null) return null
  if (guest.state.kind === 'unsettled') return 'Its last move is not settled yet.'
  if (guest.dockId !== hereId) return `It is on ${dockName} now. Bring it to this PC first, or make a copy.`
  return guest.operationId === null
    ? null
    : 'Something else is under way with it. Wait for that, or make a copy.'
}

/** Why a checkpoint cannot be lent now; null where it can. */
export function lendProblem(checkpoint: Checkpoint, vault: VaultState): string | null {
  if (vault.kind !== 'ready') return 'It can be lent while the vault is open.'
  if (!vault.canLend) return cannotLendWords(vault.placeKind)
  if (checkpoint.place.kind === 'on-its-way') return 'It can be lent as soon as it is in the vault.'
  return checkpoint.place.kind === 'damaged' ? 'A damaged one cannot be lent.' : null
}

function cannotLendWords(placeKind: Extract<VaultState, { kind: 'ready' }>['placeKind']): string {
  return placeKind === 'folder'
    ? 'To be lent, checkpoints have to be in cloud storage: other people cannot reach a folder of yours.'
    : 'To lend it, open the vault with the account’s key: the access link of a container cannot make further ones.'
}

/**
 * What a list of links does not show: the vault tells a PC of its own links only, and that may take a while. Null where
 * nothing can be lent, and while the list is being read.
 */
export function lentListWords(linkCount: number, vault: VaultState): string | null {
  if (vault.kind !== 'ready' || !vault.canLend) return null
  const { lentList } = vault
  if (lentList.kind === 'reading') return null
  if (lentList.kind === 'unread') {
    return `Some links may be missing here; they work all the same. Their list could not be read yet, which is tried again every few minutes. ${lentList.error.message}`
  }
  const others = 'Links that other PCs made to checkpoints of this vault are listed on those PCs only.'
  if (linkCount > 0) return others
  return `Nothing is lent from this PC. To lend something, select a checkpoint of a guest and choose “Lend…”. ${others}`
}

/** Whether all checkpoints are shown that there are: what is not shown is not there. */
export function checkpointsAreListed(vault: VaultState): boolean {
  return vault.kind === 'ready' && vault.checkpointList.kind === 'read'
}

/** Whether somebody should look at the page of checkpoints: the phrase is not kept yet, or something is wrong. */
export function vaultWantsAttention(vault: VaultState): boolean {
  if (vault.kind === 'failed') return true
  return vault.kind === 'ready' && (!vault.phraseSeen || (vault.trouble?.error.permanent ?? false))
}
