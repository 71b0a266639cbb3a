/**
 * Presses frames in a thread of its own, in the order in which they are asked for. It gives way to whatever else wants a
 * processor: a guest that is being captured runs on.
 */
import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { toWdockError } from '../../shared/errors/index.ts'
import { pressBatch } from './frame-press.ts'
import type { PressReply, PressRequest } from './press-thread.ts'

const port = parentPort
if (port === null) throw new Error('this runs in a thread of its own')

/** Linux gives every thread a priority of its own, and names them in /proc (proc_thread-self(5)). */
function giveWay(): void {
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    setPriority(thread, constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // It works as well without.
  }
}

function answer({ id, batch }: PressRequest): PressReply {
  try {
    return { id, kind: 'pressed', sealedBytes: pressBatch(batch) }
  } catch (error) {
    return { id, kind: 'failed', error: toWdockError(error).toJSON() }
  }
}

giveWay()
port.on('message', (request: PressRequest) => {
  port.postMessage(answer(request))
})
