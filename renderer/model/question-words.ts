/** The questions that are asked before something is done that cannot, or hardly, be taken back. Pure. */
import { assertNever } from '../../shared/assert-never.ts'
import type { Checkpoint, LentLink, VaultState } from '../../shared/models/checkpoint.ts'
import type { Dock } from '../../shared/models/dock.ts'
import type { Question } from '../state/ui-store.ts'
import { checkpointTitle, countWords } from './checkpoint-words.ts'

/** Those that are answered by yes or no. */
export type YesNoQuestion = Exclude<
  Question,
  { kind: 'rename' | 'restore' | 'lend' | 'relabel' | 'make-named' }
>

export interface QuestionWords {
  title: string
  text: string[]
  confirm: string
  cancel: string
}

/** What an answer depends on besides the question. */
export interface Circumstances {
  vault: VaultState
  checkpoints: readonly Checkpoint[]
  nowMs: number
}

export function questionWords(question: YesNoQuestion, around: Circumstances): QuestionWords {
  switch (question.kind) {
    case 'delete-checkpoint':
      return deleteWords(question.checkpoint, around.nowMs)
    case 'revoke':
      return revokeWords(question.link, around.nowMs)
    case 'forget-vault':
      return forgetWords(around)
    default:
      return guestWords(question)
  }
}

type GuestQuestion = Exclude<YesNoQuestion, { kind: 'delete-checkpoint' | 'revoke' | 'forget-vault' }>

function guestWords(question: GuestQuestion): QuestionWords {
  switch (question.kind) {
    case 'delete':
      return {
        title: `Delete ${question.guest.name}?`,
        text: ['Its disk goes to the trash of this PC. You can undo this for a moment.'],
        confirm: 'Delete',
        cancel: 'Keep it',
      }
    case 'force-off':
      return {
        title: `Force ${question.guest.name} off?`,
        text: [
          'This is like pulling the plug: what it has not saved is lost. “Shut down” asks it to end by itself.',
        ],
        confirm: 'Force off',
        cancel: 'Leave it on',
      }
    case 'post-copy':
      return postCopyWords(question.guest.name, question.dock)
    case 'unpair':
      return {
        title: `Unpair ${question.dock.name}?`,
        text: [
          'The two PCs stop trusting each other at once. Guests stay where they are.',
          'What both keep of the memory of guests that last moved between them is removed.',
        ],
        confirm: 'Unpair',
        cancel: 'Stay paired',
      }
    case 'run-here':
      return {
        title: `Run ${question.guest.name} on this PC anyway?`,
        text: [
          `If it also runs on ${question.otherName}, two copies go on separately: changes of one of them will be lost, and both use the same network address.`,
          `Do this only if you know that it does not run on ${question.otherName}.`,
        ],
        confirm: 'Run it here',
        cancel: 'Wait',
      }
    case 'give-up-here':
      return {
        title: `Give up the copy of ${question.guest.name} on this PC?`,
        text: [
          'Its disk goes to the trash of this PC and is kept for 30 days; what it had in memory here is lost.',
          `Do this only if you see it running on ${question.otherName}.`,
        ],
        confirm: 'Give up this copy',
        cancel: 'Keep it',
      }
    case 'forget-kept':
      return {
        title: 'Forget the memory of all guests?',
        text: ['Nothing is lost. The next move of each of them takes as long as a first one.'],
        confirm: 'Forget all',
        cancel: 'Keep it',
      }
    default:
      return assertNever(question)
  }
}

function revokeWords({ guestName, endMs }: LentLink, nowMs: number): QuestionWords {
  if (endMs !== null && endMs <= nowMs) {
    return {
      title: `Remove the ended link to ${guestName}?`,
      text: ['It works no more. What was stored for it alone is deleted.'],
      confirm: 'Remove it',
      cancel: 'Leave it',
    }
  }
  return {
    title: `Take back the link to ${guestName}?`,
    text: [
      'It stops working at once. What somebody has restored from it already stays theirs.',
      'This cannot be undone; you can make a new link.',
    ],
    confirm: 'Take it back',
    cancel: 'Leave it',
  }
}

function deleteWords(checkpoint: Checkpoint, nowMs: number): QuestionWords {
  const isOnItsWay = checkpoint.place.kind === 'on-its-way'
  return {
    title: `Delete the checkpoint “${checkpointTitle(checkpoint, nowMs)}”?`,
    text: [
      `${checkpoint.guestName} itself and its other checkpoints stay as they are.`,
      isOnItsWay
        ? 'This cannot be undone: only this PC has it so far.'
        : 'This cannot be undone. What only this checkpoint used is freed in the vault after a while.',
    ],
    confirm: 'Delete',
    cancel: 'Keep it',
  }
}

function forgetWords({ vault, checkpoints }: Circumstances): QuestionWords {
  const waiting = checkpoints.filter(({ place }) => place.kind === 'on-its-way').length
  const isUnwritten = vault.kind === 'ready' && !vault.phraseSeen
  return {
    title: 'Forget this vault on this PC?',
    text: [
      'This PC forgets where the vault is, and its key. Nothing in the vault is deleted, and other PCs go on using it.',
      isUnwritten
        ? 'You have not written down its recovery phrase: without it, nobody can ever open this vault again, unless another PC still uses it.'
        : 'To use it here again you need its recovery phrase.',
      ...(waiting === 0
        ? []
        : [`${countWords(waiting)} of this PC ${isAre(waiting)} still on the way there.`]),
    ],
    confirm: 'Forget it',
    cancel: 'Keep it',
  }
}

function isAre(count: number): string {
  return count === 1 ? 'is' : 'are'
}

/** A round trip that cables do not have. */
const slowRttMs = 5

function postCopyWords(name: string, dock: Dock): QuestionWords {
  const isSlow = dock.linkRttMs !== null && dock.linkRttMs > slowRttMs
  const slow = `The link to ${dock.name} answers late, as over Wi-Fi: ${name} would often wait for memory. Use a cable if you can.`
  return {
    title: `Send ${name} to ${dock.name} and finish with post-copy?`,
    text: [
      `${name} runs on ${dock.name} after one round over its memory, with a short freeze however much it changes, and fetches the rest while it runs.`,
      `Until it has the rest, it needs both PCs: if QEMU or one of the PCs ends meanwhile, its memory is lost and it must boot anew from its disk. A broken link only makes it wait.`,
      ...(isSlow ? [slow] : []),
    ],
    confirm: 'Send with post-copy',
    cancel: 'Leave it here',
  }
}
