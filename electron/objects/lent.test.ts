import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type ErrorCode, isCode } from '../../shared/errors/index.ts'
import { openLent } from './lent.ts'
import type { LentObjects } from './object-store.ts'
import { AskedToWait } from './tries.ts'

const open: { lent: LentObjects[]; servers: Server[] } = { lent: [], servers: [] }

async function serve(answer: RequestListener): Promise<LentObjects> {
  const server = createServer(answer)
  open.servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const lent = openLent(`http://127.0.0.1:${port}/share?sig=s%2Bx#secret`)
  open.lent.push(lent)
  return lent
}

function coded(code: ErrorCode) {
  return (error: unknown) => isCode(error, code)
}

describe('what a link leads to', () => {
  afterEach(async () => {
    for (const lent of open.lent.splice(0)) lent.close()
    for (const server of open.servers.splice(0)) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  it('is asked for by name, with the signature and never with the fragment', async () => {
    let asked = ''
    const lent = await serve((request, answer) => {
      asked = request.url ?? ''
      answer.end('body')
    })
    await lent.get('packs/aa', 10).catch(() => {})
    expect(asked).toBe('/share/packs/aa?sig=s%2Bx')
  })

  it('is refused where it is not encrypted, before anything is sent', () => {
    for (const [address, code] of [
      ['http://h.example/share?sig=x', 'store.https_needed'],
      ['file:///etc/passwd', 'store.bad_address'],
      ['nonsense', 'store.bad_address'],
      ['https://user@h.example/share', 'store.bad_address'],
    ] as const) {
      expect(() => openLent(address)).toThrow(expect.toSatisfy(coded(code)))
    }
  })

  it.each([
    [401, undefined],
    [403, 'AuthenticationFailed'],
    [404, 'ContainerNotFound'],
    [404, undefined],
  ])('is dead in the same words, whether not yet, not any more or never: %d %s', async (status, code) => {
    const lent = await serve((_, answer) => {
      answer.writeHead(status, code ? { 'x-ms-error-code': code } : {}).end()
    })
    await expect(lent.get('checkpoint', 10)).rejects.toSatisfy(coded('store.link_dead'))
    await expect(lent.getRange('packs/aa', 0, 1)).rejects.toSatisfy(coded('store.link_dead'))
  })

  it('is not there yet where only the object is missing', async () => {
    const lent = await serve((_, answer) => {
      answer.writeHead(404, { 'x-ms-error-code': 'BlobNotFound' }).end('<Error/>')
    })
    expect(await lent.get('checkpoint', 10)).toBeNull()
    expect(await lent.getRange('packs/aa', 0, 1)).toBeNull()
  })

  it('is not read beyond its limit, whatever the server says or sends', async () => {
    let sentBytes = 0
    const flood: RequestListener = (_, answer) => {
      const chunk = Buffer.alloc(64 * 1024)
      const more = (): void => {
        while (!answer.destroyed && answer.write(chunk)) sentBytes += chunk.length
      }
      answer.on('drain', more)
      more()
    }
    const chunked = await serve(flood)
    await expect(chunked.get('checkpoint', 1000)).rejects.toSatisfy(coded('store.refused'))
    const announced = await serve((request, answer) => {
      answer.setHeader('content-length', 1e12)
      flood(request, answer)
    })
    await expect(announced.get('checkpoint', 1000)).rejects.toSatisfy(coded('store.too_big'))
    const refusal = await serve((request, answer) => {
      answer.statusCode = 403
      flood(request, answer)
    })
    await expect(refusal.get('checkpoint', 1000)).rejects.toSatisfy(coded('store.link_dead'))
    expect(sentBytes).toBeLessThan(64 * 1024 * 1024)
  })

  it('is not looked for at another address', async () => {
    let asked = 0
    const elsewhere = await serve((_, answer) => {
      asked += 1
      answer.end('internal')
    })
    void elsewhere
    const address = open.servers[0]?.address() as AddressInfo
    const lent = await serve((_, answer) => {
      answer.writeHead(307, { location: `http://127.0.0.1:${address.port}/secret` }).end()
    })
    await expect(lent.get('checkpoint', 10)).rejects.toSatisfy(coded('store.refused'))
    expect(asked).toBe(0)
  })

  it('says what may pass, with the pause that is asked for', async () => {
    const lent = await serve((_, answer) => {
      answer.writeHead(503, { 'retry-after': '3' }).end()
    })
    await expect(lent.get('checkpoint', 10)).rejects.toSatisfy(
      (error) =>
        isCode(error, 'store.busy') && error.cause instanceof AskedToWait && error.cause.waitMs === 3000,
    )
  })

  it('says that a connection broke, in the head or in the body', async () => {
    const inHead = await serve((request) => request.socket.destroy())
    await expect(inHead.get('checkpoint', 10)).rejects.toSatisfy(coded('store.cut'))
    const inBody = await serve((request, answer) => {
      answer.setHeader('content-length', 100)
      answer.write('half', () => request.socket.destroy())
    })
    await expect(inBody.get('checkpoint', 1000)).rejects.toSatisfy(coded('store.cut'))
  })

  it('refuses a server that ignores ranges or answers with another length', async () => {
    const ignores = await serve((_, answer) => {
      answer.end(Buffer.alloc(1000))
    })
    await expect(ignores.getRange('packs/aa', 10, 10)).rejects.toSatisfy(coded('store.refused'))
    const shorter = await serve((_, answer) => {
      answer.writeHead(206, { 'content-length': 5 }).end('12345')
    })
    await expect(shorter.getRange('packs/aa', 10, 10)).rejects.toSatisfy(coded('store.short_read'))
  })

  it('ends with the reason of its signal, also in the middle of a body', async () => {
    const stop = new AbortController()
    const lent = await serve((_, answer) => {
      answer.setHeader('content-length', 100)
      answer.write('half', () => stop.abort(new Error('enough')))
    })
    await expect(lent.get('checkpoint', 1000, { signal: stop.signal })).rejects.toThrow('enough')
  })
})
