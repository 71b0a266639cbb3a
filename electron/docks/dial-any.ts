/**
 * Dials a dock at several addresses, the next one when the last has not answered in a moment. Promises that
 * one channel at most comes out of it, and that the failure told is the one that says most.
 */
import { fail, isCode, toWdockError, type WdockError } from '../../shared/errors/index.ts'
import type { Address } from './address.ts'
import { type Channel, type DialOptions, dial } from './channels.ts'

const staggerMs = 250

export interface DialAnyOptions extends Omit<DialOptions, 'address'> {
  addresses: readonly Address[]
}

/** @throws as `dial`; dock.unreachable when there is no address */
export async function dialAny(options: DialAnyOptions): Promise<{ channel: Channel; address: Address }> {
  const won = new AbortController()
  const signal = options.signal ? AbortSignal.any([won.signal, options.signal]) : won.signal
  const tries = options.addresses.map(async (address, index) => {
    await pause(index * staggerMs, signal)
    const channel = await dial({ ...options, address, signal })
    if (won.signal.aborted) {
      channel.socket.destroy()
      throw fail('host.cancelled')
    }
    won.abort()
    return { channel, address }
  })
  try {
    return await Promise.any(tries)
  } catch (error) {
    throw worst(error, options.dockName)
  }
}

/** Another identity says more than no answer; else the best address counts. */
function worst(error: unknown, dock: string): WdockError {
  const errors: unknown[] = error instanceof AggregateError ? error.errors : []
  const told = errors.find((each) => isCode(each, 'dock.identity_changed')) ?? errors[0]
  return told === undefined
    ? fail('dock.unreachable', { dock }, { detail: 'no address known' })
    : toWdockError(told)
}

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(fail('host.cancelled'))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, durationMs)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort)
  })
}
