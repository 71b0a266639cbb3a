/**
 * Follows one operation of the host to its end. Promises a progress line on a terminal and one line a phase
 * elsewhere; Ctrl-C asks the host to cancel, and what is reported is what really happened then.
 */
import { fail, WdockError } from '../../shared/errors/index.ts'
import type { VaultWork } from '../../shared/models/checkpoint.ts'
import { applyHostEvent, type HostState } from '../../shared/models/host-state.ts'
import type { MigrationRecord } from '../../shared/models/migration.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { vaultWorkWords } from '../../shared/words.ts'
import type { HostClient } from '../ipc/connect.ts'
import type { Io } from './command.ts'
import { progressWords } from './words.ts'

/** How an operation ended. The record is there for migrations that the host has written down. */
export interface Followed {
  operation: Operation | null
  record: MigrationRecord | null
}

/** @throws the failure of the operation, or host.cancelled */
export async function follow(client: HostClient, operationId: string, io: Io): Promise<Followed> {
  const line = new ProgressLine(io)
  const cancel = (): void => {
    line.show('cancelling')
    client.operations.cancel({ operationId }).catch((error: unknown) => {
      if (error instanceof WdockError) line.say(error.message)
    })
  }
  const forget = io.onInterrupt(cancel)
  try {
    return outcomeOf(await watchToEnd(client, operationId, line))
  } finally {
    forget()
    line.clear()
  }
}

/** Does work on the vault, with its progress on a terminal; Ctrl-C ends it. @throws host.cancelled, what it throws */
export async function followVaultWork<T>(
  client: HostClient,
  kind: VaultWork['progress']['kind'],
  io: Io,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const line = new ProgressLine(io)
  const cancelled = new AbortController()
  const ended = new AbortController()
  const forget = io.onInterrupt(() => cancelled.abort())
  // What it tells is only told: that it cannot be watched does not end it.
  const watching = io.isTerminal ? showVaultWork(client, kind, line, ended.signal).catch(() => {}) : null
  try {
    return await work(cancelled.signal)
  } catch (error) {
    throw cancelled.signal.aborted ? fail('host.cancelled', {}, { cause: error }) : error
  } finally {
    forget()
    ended.abort()
    await watching
    line.clear()
  }
}

async function showVaultWork(
  client: HostClient,
  kind: VaultWork['progress']['kind'],
  line: ProgressLine,
  ended: AbortSignal,
): Promise<void> {
  let state: HostState | null = null
  for await (const event of await client.state.watch(undefined, { signal: ended })) {
    state = applyHostEvent(state, event)
    const words = state?.vaultWorks.filter(({ progress }) => progress.kind === kind).map(vaultWorkWords)
    if (ended.aborted) return
    if (words?.[0]) line.show(words[0])
  }
}

async function watchToEnd(client: HostClient, operationId: string, line: ProgressLine): Promise<Followed> {
  let state: HostState | null = null
  let last: Operation | null = null
  // A stream that ends has fallen behind, or its host has gone: then the next watch says so.
  for (;;) {
    for await (const event of await client.state.watch()) {
      state = applyHostEvent(state, event)
      if (state === null) continue
      const operation: Operation | null = state.operations.find((one) => one.id === operationId) ?? null
      const record = state.migrations.find((one) => one.id === operationId) ?? null
      if (operation === null) return { operation: last, record }
      last = operation
      if (operation.state.kind !== 'running' && operation.state.kind !== 'cancelling')
        return { operation, record }
      line.show(progressWords(operation), phaseOf(operation))
    }
  }
}

function phaseOf(operation: Operation): string {
  const { work } = operation
  return work.kind === 'creating' ? work.kind : work.phase
}

function outcomeOf(followed: Followed): Followed {
  const { operation, record } = followed
  if (operation?.state.kind === 'failed') throw new WdockError(operation.state.error)
  if (operation?.state.kind === 'cancelled') throw fail('host.cancelled')
  if (operation?.state.kind === 'done') return followed
  // Taken off the list before its end was seen: the history knows.
  if (record?.outcome.kind === 'failed') throw new WdockError(record.outcome.error)
  if (record?.outcome.kind === 'cancelled') throw fail('host.cancelled')
  return followed
}

class ProgressLine {
  readonly #io: Io
  #phase = ''
  #isShown = false

  constructor(io: Io) {
    this.#io = io
  }

  show(text: string, phase = text): void {
    if (this.#io.isTerminal) {
      this.#io.note(`\r\x1b[K${text}`)
      this.#isShown = true
    } else if (phase !== this.#phase) this.#io.note(`${text}\n`)
    this.#phase = phase
  }

  say(text: string): void {
    this.clear()
    this.#io.note(`${text}\n`)
  }

  clear(): void {
    if (this.#isShown) this.#io.note('\r\x1b[K')
    this.#isShown = false
  }
}
