/**
 * Where a vault shall be, while it is being described: plain fields that may still be wrong, and the step from there
 * to what the contract accepts. Pure; whether a place answers the host finds out.
 */
import { type VaultPlace, vaultPlace } from '../../shared/models/checkpoint.ts'

export type PlaceKind = VaultPlace['kind']
export type AccessKind = Extract<VaultPlace, { kind: 'azure' }>['access']['kind']

export interface PlaceDraft {
  kind: PlaceKind
  path: string
  access: AccessKind
  connectionString: string
  account: string
  key: string
  endpoint: string
  container: string
  url: string
}

export const emptyPlace: PlaceDraft = {
  kind: 'folder',
  path: '',
  access: 'connection-string',
  connectionString: '',
  account: '',
  key: '',
  endpoint: '',
  container: 'wireless-dock',
  url: '',
}

export type PlaceProblems = Partial<Record<keyof PlaceDraft, string>>

/** @returns the place, or what is wrong with which field */
export function readPlace(draft: PlaceDraft): { place: VaultPlace } | { problems: PlaceProblems } {
  const problems = missingIn(draft)
  const parsed = vaultPlace.safeParse(placeOf(draft))
  if (parsed.success && Object.keys(problems).length === 0) return { place: parsed.data }
  for (const issue of parsed.error?.issues ?? []) {
    const field = fieldOf(issue.path.at(-1))
    problems[field] ??=
      field === 'url' || field === 'endpoint' ? 'This is not an address.' : 'This is too long.'
  }
  return { problems }
}

function placeOf(draft: PlaceDraft): unknown {
  switch (draft.kind) {
    case 'folder':
      return { kind: 'folder', path: draft.path.trim() }
    case 'azurite':
      return { kind: 'azurite' }
    case 'azure':
      return { kind: 'azure', access: accessOf(draft) }
  }
}

function accessOf(draft: PlaceDraft): unknown {
  const container = draft.container.trim()
  switch (draft.access) {
    case 'connection-string':
      return { kind: draft.access, connectionString: draft.connectionString.trim(), container }
    case 'account-key': {
      const endpoint = draft.endpoint.trim()
      return {
        kind: draft.access,
        account: draft.account.trim(),
        key: draft.key.trim(),
        endpoint: endpoint === '' ? null : withScheme(endpoint),
        container,
      }
    }
    case 'container-sas':
      return { kind: draft.access, url: withScheme(draft.url.trim()) }
  }
}

function withScheme(address: string): string {
  return /^[a-z]+:\/\//i.test(address) ? address : `https://${address}`
}

const containerPattern = /^[a-z0-9](?:-?[a-z0-9]){2,62}$/

function missingIn(draft: PlaceDraft): PlaceProblems {
  if (draft.kind === 'azurite') return {}
  if (draft.kind === 'folder') {
    if (draft.path.trim() === '') return { path: 'Choose a folder.' }
    return draft.path.trim().startsWith('/') ? {} : { path: 'Give its whole path, from / on.' }
  }
  const problems: PlaceProblems = {}
  const need = (field: 'connectionString' | 'account' | 'key' | 'url', sentence: string): void => {
    if (draft[field].trim() === '') problems[field] = sentence
  }
  if (draft.access === 'container-sas') need('url', 'Paste the address.')
  else if (!containerPattern.test(draft.container.trim()) || draft.container.trim().length > 63)
    problems.container = 'Use 3 to 63 lower-case letters, digits and single hyphens.'
  if (draft.access === 'connection-string') need('connectionString', 'Paste the connection string.')
  if (draft.access === 'account-key') {
    need('account', 'Give the name of the storage account.')
    need('key', 'Paste one of its keys.')
  }
  return problems
}

function fieldOf(name: PropertyKey | undefined): keyof PlaceDraft {
  switch (name) {
    case 'path':
    case 'connectionString':
    case 'account':
    case 'key':
    case 'endpoint':
    case 'container':
    case 'url':
      return name
    default:
      return 'kind'
  }
}
