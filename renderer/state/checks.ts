/**
 * Answers to "Will it move?", kept for a few seconds so that pointing at a button and then pressing it asks once.
 * A failed question is remembered as no answer: the click asks again and tells why.
 */
import { create } from 'zustand'
import type { MigrationCheck, MigrationRequest } from '../../shared/models/migration.ts'
import type { HostClient } from '../client/host-client.ts'

interface CachedCheck {
  check: MigrationCheck
  atMs: number
}

const freshForMs = 4000

const useChecks = create<{ answers: ReadonlyMap<string, CachedCheck> }>()(() => ({ answers: new Map() }))
const asking = new Map<string, Promise<MigrationCheck>>()

export function requestKey(request: MigrationRequest): string {
  return `${request.guestId}/${request.fromDockId}/${request.toDockId}`
}

/** The latest answer, or null while there is none. */
export function useCheck(request: MigrationRequest): MigrationCheck | null {
  return useChecks((checks) => checks.answers.get(requestKey(request))?.check ?? null)
}

/** Asks the host unless a fresh answer is known. `force` asks in any case. */
export function askCheck(
  client: HostClient,
  request: MigrationRequest,
  force = false,
): Promise<MigrationCheck> {
  const key = requestKey(request)
  const known = useChecks.getState().answers.get(key)
  if (!force && known !== undefined && Date.now() - known.atMs < freshForMs)
    return Promise.resolve(known.check)
  const running = asking.get(key)
  if (running !== undefined) return running
  const asked = client.migrations
    .check(request)
    .then((check) => {
      useChecks.setState(({ answers }) => ({
        answers: new Map(answers).set(key, { check, atMs: Date.now() }),
      }))
      return check
    })
    .finally(() => asking.delete(key))
  asking.set(key, asked)
  return asked
}
