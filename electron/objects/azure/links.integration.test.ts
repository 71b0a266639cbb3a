/** Links to what lies in Azure, tried with a plain `curl`: what whoever finds one can do with it, and cannot. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isCode } from '../../../shared/errors/index.ts'
import { runTool } from '../../platform/processes.ts'
import { type Azurite, startAzurite } from '../azurite.ts'
import { openLent } from '../lent.ts'
import type { Lending, LendSpan, LentObjects } from '../object-store.ts'
import { retrying } from '../retrying-store.ts'
import type { TryStore } from '../tries.ts'
import { openAzure } from './store.ts'

const body = randomBytes(100_000)
const hourMs = 3_600_000
const atOnceForEver: LendSpan = { startMs: null, endMs: null }

let azurite: Azurite
let base: TryStore
let lending: Lending

beforeAll(async () => {
  azurite = await startAzurite({ folder: null })
  base = openAzure(azurite.access('vault'))
  const store = retrying(base)
  if (store.lending === null) throw new Error('this store should lend')
  lending = store.lending
  await store.put('packs/aa', body)
  await store.put('packs/secret', Buffer.from('of another checkpoint'))
})
afterAll(async () => {
  base?.close()
  await azurite?.end()
})

let shares = 0

/** A share with `packs/aa` and a `checkpoint` in it. */
async function lend(span: LendSpan): Promise<{ shareId: string; address: string }> {
  const shareId = (++shares).toString(16).padStart(32, '0')
  const { address } = await lending.open(shareId, span)
  await lending.copy(shareId, 'packs/aa')
  await lending.put(shareId, 'checkpoint', Buffer.from('sealed manifest'))
  return { shareId, address }
}

/** Puts a name below the address of a link. */
function below(address: string, name: string, change: (url: URL) => void = () => {}): string {
  const url = new URL(address)
  url.pathname = `${url.pathname}/${name}`
  change(url)
  return url.href
}

/** @returns the status */
async function curl(url: string, ...args: string[]): Promise<number> {
  const all = ['--silent', '--output', '/dev/null', '--write-out', '%{http_code}', '--max-time', '20']
  const { stdout } = await runTool('curl', [...all, ...args, url], { timeoutMs: 30_000 })
  return Number(stdout)
}

function isDead(error: unknown): boolean {
  return isCode(error, 'store.link_dead')
}

async function withLent<T>(address: string, use: (lent: LentObjects) => Promise<T>): Promise<T> {
  const lent = openLent(address)
  try {
    return await use(lent)
  } finally {
    lent.close()
  }
}

describe('a link', () => {
  it('reads what was lent, whole and in parts', async () => {
    const { address } = await lend(atOnceForEver)
    expect(await curl(below(address, 'packs/aa'))).toBe(200)
    expect(await curl(below(address, 'packs/aa'), '--range', '100-199')).toBe(206)
    await withLent(address, async (lent) => {
      expect((await lent.get('packs/aa', 1e6))?.equals(body)).toBe(true)
      expect((await lent.getRange('packs/aa', 50, 1000))?.equals(body.subarray(50, 1050))).toBe(true)
      expect(await lent.getRange('packs/aa', 50, 0)).toEqual(Buffer.alloc(0))
      expect(await lent.get('summary', 100)).toBeNull()
      await expect(lent.getRange('packs/aa', 99_999, 2)).rejects.toSatisfy((e) =>
        isCode(e, 'store.short_read'),
      )
      await expect(lent.get('packs/aa', 99_999)).rejects.toSatisfy((e) => isCode(e, 'store.too_big'))
    })
  })

  it('says nothing of its span and holds no key: both are in a policy at the service', async () => {
    const { address } = await lend({ startMs: null, endMs: Date.now() + hourMs })
    const query = new URL(address).searchParams
    expect([...query.keys()].sort()).toEqual(['si', 'sig', 'sr', 'sv'])
    expect(query.get('sr')).toBe('c')
    expect(address).not.toContain(azurite.key)
  })

  it('is denied before its start and after its end', async () => {
    const now = Date.now()
    const early = await lend({ startMs: now + hourMs, endMs: now + 2 * hourMs })
    const late = await lend({ startMs: now - 2 * hourMs, endMs: now - hourMs })
    for (const { address } of [early, late]) {
      expect(await curl(below(address, 'checkpoint'))).toBe(403)
      await withLent(address, (lent) => expect(lent.get('checkpoint', 100)).rejects.toSatisfy(isDead))
    }
  })

  it('works from its start to its end', async () => {
    // Times of policies are read to the second.
    const { address } = await lend({ startMs: Date.now() - 1000, endMs: Date.now() + 3000 })
    expect(await curl(below(address, 'checkpoint'))).toBe(200)
    const endMs = performance.now() + 10_000
    let status = 200
    while (status === 200 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      status = await curl(below(address, 'checkpoint'))
    }
    expect(status).toBe(403)
  })

  it('is denied with times that somebody wrote into it', async () => {
    const { address } = await lend({ startMs: null, endMs: Date.now() - hourMs })
    const later = new Date(Date.now() + hourMs).toISOString()
    for (const change of [
      (url: URL) => url.searchParams.set('se', later),
      (url: URL) => url.searchParams.set('st', '2020-01-01T00:00:00Z'),
      (url: URL) => {
        url.searchParams.set('se', later)
        url.searchParams.set('sp', 'r')
        url.searchParams.delete('si')
      },
    ]) {
      expect(await curl(below(address, 'checkpoint', change))).toBe(403)
    }
  })

  it('is denied with rights, a policy or a signature that somebody changed', async () => {
    const { address } = await lend(atOnceForEver)
    for (const [key, value] of [
      ['sp', 'rwdl'],
      ['si', 'other'],
      ['sr', 'b'],
      ['sig', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='],
    ] as const) {
      const url = below(address, 'checkpoint', (found) => found.searchParams.set(key, value))
      expect([key, await curl(url)]).toEqual([key, 403])
    }
    const bare = below(address, 'checkpoint', (found) => {
      found.search = ''
    })
    expect([401, 403, 404, 409]).toContain(await curl(bare))
  })

  it('is denied for everything outside its share: the vault, other shares', async () => {
    const { address } = await lend(atOnceForEver)
    const other = await lend(atOnceForEver)
    const path = (url: URL, from: RegExp, to: string) => {
      url.pathname = url.pathname.replace(from, to)
    }
    const inVault = below(address, 'packs/secret', (url) => path(url, /wdock-share-[0-9a-f]+/, 'vault'))
    expect(await curl(inVault)).toBe(403)
    const inOther = below(address, 'checkpoint', (url) =>
      path(url, /wdock-share-[0-9a-f]+/, `wdock-share-${other.shareId}`),
    )
    expect(await curl(inOther)).toBe(403)
    expect(await curl(below(address, 'packs/secret'))).toBe(404)
  })

  it('is denied for listing, writing and deleting', async () => {
    const { address } = await lend(atOnceForEver)
    expect(await curl(`${address}&restype=container&comp=list`)).toBe(403)
    expect(await curl(`${address}&restype=container&comp=acl`)).toBe(403)
    const put = ['--request', 'PUT', '--header', 'x-ms-blob-type: BlockBlob', '--data-binary', 'x']
    expect(await curl(below(address, 'checkpoint'), ...put)).toBe(403)
    expect(await curl(below(address, 'mine'), ...put)).toBe(403)
    expect(await curl(below(address, 'checkpoint'), '--request', 'DELETE')).toBe(403)
    expect(await curl(`${address}&restype=container`, '--request', 'DELETE')).toBe(403)
    expect(await curl(below(address, 'checkpoint'))).toBe(200)
  })

  it('is dead once it is taken back, for good', async () => {
    const { shareId, address } = await lend(atOnceForEver)
    expect(await curl(below(address, 'checkpoint'))).toBe(200)
    await lending.revoke(shareId)
    expect([403, 404]).toContain(await curl(below(address, 'checkpoint')))
    await withLent(address, (lent) => expect(lent.get('checkpoint', 100)).rejects.toSatisfy(isDead))
    await expect(lending.put(shareId, 'checkpoint', body)).rejects.toSatisfy((e) =>
      isCode(e, 'store.share_gone'),
    )
    await expect(lending.copy(shareId, 'packs/aa')).rejects.toSatisfy((e) => isCode(e, 'store.share_gone'))
    await lending.revoke(shareId)
  })

  it('is listed with its span, and not any more when it is taken back', async () => {
    const span = { startMs: 1_700_000_000_000, endMs: 4_000_000_000_000 }
    const one = await lend(span)
    const two = await lend(atOnceForEver)
    const listed = async () => {
      const found = new Map<string, LendSpan>()
      for await (const share of lending.list()) found.set(share.shareId, share.span)
      return found
    }
    const before = await listed()
    expect(before.get(one.shareId)).toEqual(span)
    expect(before.get(two.shareId)).toEqual(atOnceForEver)
    await lending.revoke(one.shareId)
    const after = await listed()
    expect(after.has(one.shareId)).toBe(false)
    expect(after.has(two.shareId)).toBe(true)
  })

  it('is the same when it is made again, as after a lost answer', async () => {
    const one = await lend(atOnceForEver)
    const again = await lending.open(one.shareId, atOnceForEver)
    expect(again.address).toBe(one.address)
    expect(await curl(below(again.address, 'checkpoint'))).toBe(200)
  })

  it('cannot be to what is not there, nor to a name that leads elsewhere', async () => {
    const { shareId } = await lend(atOnceForEver)
    await expect(lending.copy(shareId, 'packs/none')).rejects.toSatisfy((e) => isCode(e, 'store.missing'))
    for (const bad of ['../vault', 'X'.repeat(32), '']) {
      await expect((async () => lending.open(bad, atOnceForEver))()).rejects.toSatisfy((e) =>
        isCode(e, 'store.bad_name'),
      )
    }
  })
})
