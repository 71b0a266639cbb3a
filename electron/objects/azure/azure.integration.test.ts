import {
  AccountSASPermissions,
  ContainerSASPermissions,
  generateAccountSASQueryParameters,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ErrorCode, isCode } from '../../../shared/errors/index.ts'
import { type Azurite, startAzurite } from '../azurite.ts'
import type { ObjectStore } from '../object-store.ts'
import type { RetryOptions } from '../retry.ts'
import { retrying } from '../retrying-store.ts'
import { describeStore } from '../testing/conformance.ts'
import { FaultyWire, type WireFault } from '../testing/faulty-wire.ts'
import type { TryStore } from '../tries.ts'
import { type AzureOptions, openAzure } from './store.ts'

let azurite: Azurite
beforeAll(async () => {
  azurite = await startAzurite({ folder: null })
})
afterAll(() => azurite?.end())

const open: { close(): void }[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

/** A store at `endpoint`, by default Azurite itself. */
function at(container: string, endpoint = azurite.endpoint, options: AzureOptions = {}): TryStore {
  const { account, key } = azurite
  const store = openAzure({ kind: 'account-key', account, key, endpoint, container }, options)
  open.push(store)
  return store
}

function coded(code: ErrorCode) {
  return (error: unknown) => isCode(error, code)
}

let containers = 0
function newContainer(): string {
  return `c-${++containers}-${process.pid}`
}

const lists = { manyNames: 300, clockStepMs: 1000 }

describeStore(
  'a container of Azurite, one try a call',
  async () => {
    const container = newContainer()
    const make = () => at(container, azurite.endpoint, { pageSize: 100 })
    const [store, other] = [make(), make()]
    open.length = 0
    return {
      ...{ store, other },
      end: async () => {
        store.close()
        other.close()
      },
    }
  },
  lists,
)

describeStore(
  'a container of Azurite at an address of the form ACCOUNT.HOST, behind retries',
  async () => {
    const container = newContainer()
    const endpoint = `http://${azurite.account}.localhost:${new URL(azurite.endpoint).port}`
    const make = () => retrying(at(container, endpoint, { pageSize: 100 }))
    const [store, other] = [make(), make()]
    open.length = 0
    return {
      ...{ store, other },
      end: async () => {
        store.close()
        other.close()
      },
    }
  },
  lists,
)

describe('a container', () => {
  it('counts as empty until the first write, which makes it', async () => {
    const container = newContainer()
    const store = at(container)
    expect(await store.get('vault.json', 100)).toBeNull()
    expect((await store.listPage('', null)).objects).toEqual([])
    await store.remove('vault.json')
    expect(await store.nowMs()).toBeGreaterThan(0)
    const { key } = azurite
    const bySas = openSas(container, 'rcwdl')
    await expect(bySas.get('vault.json', 100)).rejects.toSatisfy(coded('store.no_container'))
    expect(key).not.toBe('')
    expect(await store.putNew('vault.json', Buffer.from('{}'))).toBe(true)
    expect(await at(container).get('vault.json', 100)).toEqual(Buffer.from('{}'))
  })

  it('that was there and is gone is a loss: nothing is written into a new one', async () => {
    const container = newContainer()
    const store = at(container)
    await store.put('vault.json', Buffer.from('{}'))
    await at(container).put('packs/aa', Buffer.alloc(1))
    await removeContainer(container)
    await expect(store.put('packs/bb', Buffer.alloc(1))).rejects.toSatisfy(coded('store.no_container'))
    await expect(store.get('vault.json', 10)).rejects.toSatisfy(coded('store.no_container'))
    await expect(store.listPage('', null)).rejects.toSatisfy(coded('store.no_container'))
  })

  it('is used by an access link of its own, which cannot lend', async () => {
    const container = newContainer()
    await at(container).put('vault.json', Buffer.from('{}'))
    const store = openSas(container, 'rcwdl')
    expect(store.lending).toBeNull()
    expect(await store.get('vault.json', 100)).toEqual(Buffer.from('{}'))
    expect(await store.putNew('vault.json', Buffer.from('x'))).toBe(false)
    expect(await store.putNew('packs/aa', Buffer.from('x'))).toBe(true)
    expect((await store.listPage('packs/', null)).objects).toHaveLength(1)
    expect(await store.nowMs()).toBeGreaterThan(0)
    await store.remove('packs/aa')
    const readOnly = openSas(container, 'rl')
    await expect(readOnly.put('packs/aa', Buffer.alloc(1))).rejects.toSatisfy(
      coded('store.access_too_narrow'),
    )
    await expect(readOnly.remove('vault.json')).rejects.toSatisfy(coded('store.access_too_narrow'))
    const expired = openSas(container, 'rl', -60_000)
    await expect(expired.get('vault.json', 100)).rejects.toSatisfy(coded('store.access_expired'))
  })

  it('is made with an access link for the whole account', async () => {
    const { account, key, endpoint } = azurite
    const sas = generateAccountSASQueryParameters(
      {
        ...{ services: 'b', resourceTypes: 'sco', permissions: AccountSASPermissions.parse('rwdlac') },
        expiresOn: new Date(Date.now() + 3_600_000),
      },
      new StorageSharedKeyCredential(account, key),
    )
    const connectionString = `BlobEndpoint=${endpoint};SharedAccessSignature=${sas}`
    const store = openAzure({ kind: 'connection-string', connectionString, container: newContainer() })
    open.push(store)
    expect(store.lending).toBeNull()
    await store.put('vault.json', Buffer.from('{}'))
    expect(await store.get('vault.json', 100)).toEqual(Buffer.from('{}'))
  })

  it('is found by a connection string', async () => {
    const { account, key, endpoint } = azurite
    const container = newContainer()
    await at(container).put('vault.json', Buffer.from('{}'))
    const connectionString = `AccountName=${account};AccountKey=${key};BlobEndpoint=${endpoint}/;`
    const store = openAzure({ kind: 'connection-string', connectionString, container })
    open.push(store)
    expect(await store.get('vault.json', 100)).toEqual(Buffer.from('{}'))
  })

  it('is refused by name: wrong key, no such account, nobody there, no such host, no TLS', async () => {
    const { account, key, endpoint } = azurite
    const access = { kind: 'account-key', account, key, endpoint, container: 'vault' } as const
    const wrong = Buffer.alloc(64, 1).toString('base64')
    for (const [change, code] of [
      [{ key: wrong }, 'store.wrong_key'],
      [{ account: 'nobody', endpoint: endpoint.replace(/[^/]+$/, 'nobody') }, 'store.no_account'],
      [{ endpoint: 'http://127.0.0.1:9/wdock' }, 'store.unreachable'],
      [{ endpoint: 'https://no-such-host.invalid/wdock' }, 'store.unknown_host'],
      [{ endpoint: endpoint.replace('http:', 'https:') }, 'store.untrusted'],
    ] as const) {
      const store = openAzure({ ...access, ...change })
      open.push(store)
      const failure = await store.get('vault.json', 100).catch((error: unknown) => error)
      expect([change, (failure as { code: string }).code]).toEqual([change, code])
      expect(JSON.stringify(failure)).not.toContain(key)
      expect(failure).toMatchObject({ message: expect.not.stringMatching(/\{\w+\}/) })
    }
  })
})

describe('Azure over a wire that fails', () => {
  let wire: FaultyWire
  beforeAll(async () => {
    wire = await FaultyWire.start(azurite.endpoint)
  })
  afterAll(() => wire?.end())

  // A busy machine answers late: only what hangs gets short tries.
  const quick: RetryOptions = { tryMs: 10_000, slowestBytesPerS: 1e7, firstPauseMs: 5, longestPauseMs: 20 }
  const container = 'wire'
  const body = Buffer.alloc(200_000, 'sealed')

  async function through(faults: (WireFault | null)[], options: RetryOptions = quick): Promise<ObjectStore> {
    const direct = at(container)
    await direct.put('packs/there', body)
    await direct.put('checkpoints/none', Buffer.alloc(1))
    await direct.remove('packs/new')
    await direct.remove('checkpoints/none')
    wire.requests.length = 0
    wire.plan = (_, index) => faults[index] ?? null
    return retrying(at(container, wire.endpoint), options)
  }

  it.each([
    [{ kind: 'status', status: 408 }],
    [{ kind: 'status', status: 429 }],
    [{ kind: 'status', status: 500, body: '<Error><Code>InternalError</Code></Error>' }],
    [{ kind: 'status', status: 502, body: '<html>proxy</html>' }],
    [{ kind: 'status', status: 503 }],
    [{ kind: 'status', status: 504 }],
    [{ kind: 'hangs' }],
    [{ kind: 'reset' }],
    [{ kind: 'lost-answer' }],
  ] satisfies [WireFault][])('puts, reads, lists and removes through %j', async (fault) => {
    const store = await through([], fault.kind === 'hangs' ? { ...quick, tryMs: 500 } : quick)
    let asked = 0
    // Every other request.
    wire.plan = () => (asked++ % 2 === 0 ? fault : null)
    await store.put('packs/new', body)
    expect((await store.get('packs/new', 1e6))?.equals(body)).toBe(true)
    expect((await store.getRange('packs/there', 100, 5000))?.equals(body.subarray(100, 5100))).toBe(true)
    const names: string[] = []
    for await (const { name } of store.list('packs/')) names.push(name)
    expect(names).toEqual(['packs/new', 'packs/there'])
    await store.remove('packs/new')
    expect(await at(container).get('packs/new', 1e6)).toBeNull()
    expect(await store.nowMs()).toBeGreaterThan(0)
  })

  it.each([
    [{ kind: 'reset-in-body', afterBytes: 70_000 }],
    [{ kind: 'closed-in-body', afterBytes: 70_000 }],
    [{ kind: 'reset-in-body', afterBytes: 0 }],
    [{ kind: 'trickle', bytesPerS: 1000 }],
  ] satisfies [WireFault][])('never takes part of an object for the whole: %j', async (fault) => {
    const store = await through(
      [fault, null, fault, null],
      fault.kind === 'trickle' ? { ...quick, tryMs: 1000 } : quick,
    )
    expect((await store.get('packs/there', 1e6))?.equals(body)).toBe(true)
    expect((await store.getRange('packs/there', 1000, 150_000))?.equals(body.subarray(1000, 151_000))).toBe(
      true,
    )
    expect(wire.requests).toHaveLength(4)
  })

  it('reads a list again that came in part', async () => {
    const store = await through([{ kind: 'closed-in-body', afterBytes: 100 }])
    const names: string[] = []
    for await (const { name } of store.list('packs/')) names.push(name)
    expect(names).toEqual(['packs/there'])
    expect(wire.requests).toHaveLength(2)
  })

  it('leaves the service alone for as long as Retry-After says', async () => {
    const fault: WireFault = { kind: 'status', status: 503, headers: { 'retry-after': '1' } }
    const store = await through([fault])
    await store.put('packs/new', body)
    const [first, second] = wire.requests
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(990)
  })

  it('decides a name once, though the answer that it was free is lost', async () => {
    const store = await through([{ kind: 'lost-answer' }])
    expect(await store.putNew('checkpoints/none', body)).toBe(true)
    expect(wire.requests.map(({ method }) => method)).toEqual(['PUT', 'PUT', 'GET'])
    expect(await store.putNew('checkpoints/none', body)).toBe(false)
  })

  it('ends a try against a hung service, and with it the connection', async () => {
    const store = await through(Array(100).fill({ kind: 'hangs' }), {
      ...quick,
      tryMs: 300,
      deadlineMs: () => 1000,
    })
    const sinceMs = performance.now()
    await expect(store.get('packs/there', 1e6)).rejects.toSatisfy(coded('store.timed_out'))
    expect(performance.now() - sinceMs).toBeLessThan(5000)
    expect(wire.requests.length).toBeGreaterThan(1)
  })

  it.each([
    [{ status: 403, headers: { 'x-ms-error-code': 'AuthenticationFailed' } }, 'store.wrong_key'],
    [{ status: 403, headers: { 'x-ms-error-code': 'AccountIsDisabled' } }, 'store.account_disabled'],
    [{ status: 409, headers: { 'x-ms-error-code': 'BlobImmutableDueToPolicy' } }, 'store.immutable'],
    [{ status: 412, headers: { 'x-ms-error-code': 'LeaseIdMissing' } }, 'store.locked'],
    [{ status: 400, headers: { 'x-ms-error-code': 'InvalidHeaderValue' } }, 'store.refused'],
    [{ status: 301, headers: { location: 'http://127.0.0.1:9/' } }, 'store.refused'],
  ] as [Omit<WireFault & { kind: 'status' }, 'kind'>, ErrorCode][])(
    'asks no second time after %j',
    async (answer, code) => {
      const store = await through([{ kind: 'status', ...answer }])
      await expect(store.put('packs/new', body)).rejects.toSatisfy(coded(code))
      expect(wire.requests).toHaveLength(1)
    },
  )

  it('says that the clock of this PC is wrong, where the service refuses for that', async () => {
    const headers = {
      'x-ms-error-code': 'AuthenticationFailed',
      date: new Date(Date.now() - 3_600_000).toUTCString(),
    }
    const store = await through([{ kind: 'status', status: 403, headers }])
    await expect(store.get('packs/there', 1e6)).rejects.toSatisfy(coded('store.clock_wrong'))
  })

  it('makes a link and takes it back though the first answer to each request is lost', async () => {
    const store = await through([])
    const lost = new Set<string>()
    wire.plan = ({ method, path }) => {
      const what = `${method} ${path.replace(/sig=.*/, '')}`
      if (lost.has(what)) return null
      lost.add(what)
      return { kind: 'lost-answer' }
    }
    const shareId = 'f'.repeat(32)
    await store.lending?.open(shareId, { startMs: null, endMs: null })
    await store.lending?.copy(shareId, 'packs/there')
    const lent: string[] = []
    for await (const share of store.lending?.list() ?? []) lent.push(share.shareId)
    expect(lent).toContain(shareId)
    await store.lending?.revoke(shareId)
  })
})

function openSas(container: string, permissions: string, endsInMs = 3_600_000): TryStore {
  const { account, key, endpoint } = azurite
  const sas = generateBlobSASQueryParameters(
    {
      ...{ containerName: container, permissions: ContainerSASPermissions.parse(permissions) },
      expiresOn: new Date(Date.now() + endsInMs),
    },
    new StorageSharedKeyCredential(account, key),
  )
  const store = openAzure({ kind: 'container-sas', url: `${endpoint}/${container}?${sas}` })
  open.push(store)
  return store
}

async function removeContainer(container: string): Promise<void> {
  const { ContainerClient } = await import('@azure/storage-blob')
  const { account, key, endpoint } = azurite
  const credential = new StorageSharedKeyCredential(account, key)
  await new ContainerClient(`${endpoint}/${container}`, credential).delete()
}
