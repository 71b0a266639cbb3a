/**
 * How a person gives access to a container, read and checked before anything is sent: a connection string, an
 * account key, or the address of a container with a SAS. Addresses may be of the form https://ACCOUNT.HOST/ or
 * https://HOST/ACCOUNT (emulator, private clouds). Relies on learn.microsoft.com, "Configure Azure Storage connection
 * strings" and "Naming and referencing containers".
 */
import { isIP } from 'node:net'
import { fail } from '../../../shared/errors/index.ts'
import type { VaultPlace } from '../../../shared/models/checkpoint.ts'
import { isLoopback, readAddress } from '../addresses.ts'

export type AzureAccess = Extract<VaultPlace, { kind: 'azure' }>['access']

export type AzureAuth =
  /** Base64. */
  | { kind: 'key'; key: string }
  /** A query without `?`. Only one for a whole account can make containers. */
  | { kind: 'sas'; query: string; covers: 'account' | 'container' }

export interface AzurePlace {
  /** Without a slash at its end. */
  serviceUrl: string
  account: string
  container: string
  auth: AzureAuth
}

/** The well-known account of the emulator, for `UseDevelopmentStorage=true`. It is no secret. */
const emulator = {
  account: 'devstoreaccount1',
  key: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
  endpoint: 'http://127.0.0.1:10000/devstoreaccount1',
}

/**
 * @throws store.bad_connection_string, store.bad_key, store.bad_address, store.https_needed, store.bad_container,
 * store.bad_link
 */
export function readAccess(access: AzureAccess): AzurePlace {
  switch (access.kind) {
    case 'connection-string':
      return readConnectionString(access.connectionString, checkContainer(access.container))
    case 'account-key':
      return withKey(access.account, access.key, access.endpoint, checkContainer(access.container))
    case 'container-sas':
      return readContainerSas(access.url)
  }
}

/** Of the store, for people. Never holds a secret. */
export function sentenceOf(place: AzurePlace): string {
  const { hostname, host } = new URL(place.serviceUrl)
  if (isLoopback(hostname)) return `the container ${place.container} on this PC (${host})`
  return `the container ${place.container} of the storage account ${place.account}`
}

function withKey(account: string, key: string, endpoint: string | null, container: string): AzurePlace {
  const name = account.trim()
  if (!/^[a-z0-9-]{1,64}$/.test(name)) throw fail('store.bad_address', { address: name })
  const serviceUrl = readEndpoint(endpoint ?? `https://${name}.blob.core.windows.net`, name)
  return { serviceUrl, account: name, container, auth: { kind: 'key', key: checkKey(key) } }
}

function readEndpoint(text: string, account: string): string {
  const address = readAddress(text.trim())
  if (address.search || address.hash) throw fail('store.bad_address', { address: address.host })
  const path = address.pathname.replace(/\/+$/, '')
  // An IP address cannot have the account in front.
  const needsPath = path === '' && isIP(address.hostname.replace(/^\[|\]$/g, '')) !== 0
  return `${address.origin}${needsPath ? `/${account}` : path}`
}

function checkKey(key: string): string {
  const trimmed = key.trim()
  const isKey = /^[A-Za-z0-9+/]+={0,2}$/.test(trimmed) && trimmed.length % 4 === 0
  if (!isKey || Buffer.from(trimmed, 'base64').length < 16) throw fail('store.bad_key')
  return trimmed
}

function checkContainer(container: string): string {
  const name = container.trim()
  if (!/^[a-z0-9](?:-?[a-z0-9]){2,62}$/.test(name) || name.length > 63) {
    throw fail('store.bad_container', { container: name })
  }
  return name
}

function readConnectionString(text: string, container: string): AzurePlace {
  const parts = new Map<string, string>()
  for (const part of text.split(/[;\r\n]+/)) {
    const at = part.indexOf('=')
    if (at > 0) parts.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim())
  }
  if (parts.get('usedevelopmentstorage') === 'true') {
    return withKey(emulator.account, emulator.key, emulator.endpoint, container)
  }
  const account = parts.get('accountname') ?? null
  const key = parts.get('accountkey')
  const sas = parts.get('sharedaccesssignature')
  const endpoint = parts.get('blobendpoint') ?? standardEndpoint(parts, account)
  if (key && account) return withKey(account, key, endpoint, container)
  if (!sas || !endpoint) throw fail('store.bad_connection_string')
  const serviceUrl = readEndpoint(endpoint, account ?? '')
  const query = checkSas(sas)
  return {
    ...{ serviceUrl, account: account ?? accountIn(new URL(serviceUrl)), container },
    auth: { kind: 'sas', query, covers: 'account' },
  }
}

function standardEndpoint(parts: ReadonlyMap<string, string>, account: string | null): string | null {
  if (account === null) return null
  const protocol = parts.get('defaultendpointsprotocol') ?? 'https'
  return `${protocol}://${account}.blob.${parts.get('endpointsuffix') ?? 'core.windows.net'}`
}

function readContainerSas(text: string): AzurePlace {
  const address = readAddress(text.trim())
  const query = checkSas(address.search)
  const segments = address.pathname.split('/').filter((segment) => segment !== '')
  const container = segments.at(-1)
  if (container === undefined || segments.length > 2) throw fail('store.bad_link')
  const above = segments.slice(0, -1).map((segment) => `/${segment}`)
  return {
    serviceUrl: `${address.origin}${above.join('')}`,
    account: accountIn(new URL(`${address.origin}${above.join('')}`)),
    container: checkContainer(container),
    auth: { kind: 'sas', query, covers: 'container' },
  }
}

/** @returns the query without its question mark @throws store.bad_link */
function checkSas(text: string): string {
  const query = text.trim().replace(/^\?/, '')
  if (!new URLSearchParams(query).get('sig')) throw fail('store.bad_link')
  return query
}

function accountIn(address: URL): string {
  const inPath = address.pathname.split('/').find((segment) => segment !== '')
  return inPath ?? address.hostname.split('.')[0] ?? address.hostname
}
