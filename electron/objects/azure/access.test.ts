import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ErrorCode, isCode, WdockError } from '../../../shared/errors/index.ts'
import { type AzureAccess, readAccess, sentenceOf } from './access.ts'

const key = Buffer.alloc(64, 7).toString('base64')
const sas = 'sv=2024-05-04&sr=c&sp=racwdl&se=2030-01-01T00:00:00Z&sig=abc%2Bdef%3D'

function byKey(change: Partial<Extract<AzureAccess, { kind: 'account-key' }>> = {}): AzureAccess {
  return { kind: 'account-key', account: 'mine', key, endpoint: null, container: 'vault', ...change }
}

function byString(connectionString: string): AzureAccess {
  return { kind: 'connection-string', connectionString, container: 'vault' }
}

describe('access to a container of Azure', () => {
  it('is an account and its key in the public cloud', () => {
    const place = readAccess(byKey())
    expect(place.serviceUrl).toBe('https://mine.blob.core.windows.net')
    expect(place.auth).toEqual({ kind: 'key', key })
    expect(sentenceOf(place)).toBe('the container vault of the storage account mine')
  })

  it.each([
    ['https://mine.blob.cloud.example/', 'https://mine.blob.cloud.example'],
    ['https://blob.cloud.example/mine', 'https://blob.cloud.example/mine'],
    ['https://10.0.0.9', 'https://10.0.0.9/mine'],
    ['http://127.0.0.1:10000/mine/', 'http://127.0.0.1:10000/mine'],
    ['http://[::1]:10000', 'http://[::1]:10000/mine'],
    ['http://mine.localhost:10000', 'http://mine.localhost:10000'],
  ])('is an account at an address of its own: %s', (endpoint, serviceUrl) => {
    expect(readAccess(byKey({ endpoint })).serviceUrl).toBe(serviceUrl)
  })

  it.each([
    [
      `DefaultEndpointsProtocol=https;AccountName=mine;AccountKey=${key};EndpointSuffix=core.chinacloudapi.cn`,
      'https://mine.blob.core.chinacloudapi.cn',
    ],
    [`AccountName=mine;AccountKey=${key}`, 'https://mine.blob.core.windows.net'],
    [
      ` BlobEndpoint=https://h.example/mine ; AccountName=mine; AccountKey=${key};\n`,
      'https://h.example/mine',
    ],
  ])('is a connection string with a key: %s', (text, serviceUrl) => {
    expect(readAccess(byString(text))).toEqual({
      ...{ serviceUrl, account: 'mine', container: 'vault' },
      auth: { kind: 'key', key },
    })
  })

  it('is a connection string with a SAS for the account', () => {
    const text = `BlobEndpoint=https://mine.blob.core.windows.net/;SharedAccessSignature=?${sas}`
    expect(readAccess(byString(text))).toEqual({
      ...{ serviceUrl: 'https://mine.blob.core.windows.net', account: 'mine', container: 'vault' },
      auth: { kind: 'sas', query: sas, covers: 'account' },
    })
  })

  it('is the emulator on this PC, where a connection string says so', () => {
    const place = readAccess(byString('UseDevelopmentStorage=true'))
    expect(place.serviceUrl).toBe('http://127.0.0.1:10000/devstoreaccount1')
    expect(sentenceOf(place)).toBe('the container vault on this PC (127.0.0.1:10000)')
  })

  it.each([
    [`https://mine.blob.core.windows.net/vault?${sas}`, 'https://mine.blob.core.windows.net'],
    [`https://mine.blob.core.windows.net/vault/?${sas}`, 'https://mine.blob.core.windows.net'],
    [`http://127.0.0.1:10000/mine/vault?${sas}`, 'http://127.0.0.1:10000/mine'],
  ])('is the address of a container with a SAS: %s', (url, serviceUrl) => {
    expect(readAccess({ kind: 'container-sas', url })).toEqual({
      ...{ serviceUrl, account: 'mine', container: 'vault' },
      auth: { kind: 'sas', query: sas, covers: 'container' },
    })
  })

  it.each([
    [byKey({ endpoint: 'http://mine.blob.core.windows.net' }), 'store.https_needed'],
    [byKey({ endpoint: 'http://192.168.1.5:10000/mine' }), 'store.https_needed'],
    [byKey({ endpoint: 'http://127.0.0.1.evil.example/mine' }), 'store.https_needed'],
    [byKey({ endpoint: 'http://localhost.evil.example/mine' }), 'store.https_needed'],
    [byKey({ endpoint: 'http://evil.example#.localhost/mine' }), 'store.https_needed'],
    [byKey({ endpoint: 'https://user:secret@h.example' }), 'store.bad_address'],
    [byKey({ endpoint: 'ftp://mine.example' }), 'store.bad_address'],
    [byKey({ endpoint: 'not an address' }), 'store.bad_address'],
    [byKey({ endpoint: 'https://h.example/?a=b' }), 'store.bad_address'],
    [byKey({ account: 'mine.evil.example/' }), 'store.bad_address'],
    [byKey({ key: 'short' }), 'store.bad_key'],
    [byKey({ key: 'not/base64!' }), 'store.bad_key'],
    [byKey({ container: 'Vault' }), 'store.bad_container'],
    [byKey({ container: 'va' }), 'store.bad_container'],
    [byKey({ container: 'va--ult' }), 'store.bad_container'],
    [byKey({ container: 'vault-' }), 'store.bad_container'],
    [byKey({ container: '../vault' }), 'store.bad_container'],
    [byKey({ container: 'a'.repeat(64) }), 'store.bad_container'],
    [byString('hello'), 'store.bad_connection_string'],
    [byString('AccountName=mine'), 'store.bad_connection_string'],
    [byString(`AccountName=mine;AccountKey=${key};DefaultEndpointsProtocol=http`), 'store.https_needed'],
    [{ kind: 'container-sas', url: 'https://mine.blob.core.windows.net/vault' }, 'store.bad_link'],
    [{ kind: 'container-sas', url: `https://mine.blob.core.windows.net/?${sas}` }, 'store.bad_link'],
    [{ kind: 'container-sas', url: `https://mine.example/a/b/c?${sas}` }, 'store.bad_link'],
    [{ kind: 'container-sas', url: `http://mine.example/vault?${sas}` }, 'store.https_needed'],
  ] as [AzureAccess, ErrorCode][])('is refused with a name, before anything is sent: %j', (access, code) => {
    expect(() => readAccess(access)).toThrow(expect.toSatisfy((error) => isCode(error, code)))
  })

  it('is read or refused by name, whatever is pasted, and no sentence holds the secret', () => {
    const pieces = [
      ...[
        'AccountName=',
        'AccountKey=',
        'BlobEndpoint=',
        'SharedAccessSignature=',
        key,
        sas,
        ';',
        '?',
        '/',
        '#',
      ],
      ...[
        'https://',
        'http://',
        'ftp:',
        '127.0.0.1',
        '[::1]',
        'localhost',
        'evil.example',
        '@',
        ':1',
        'vault',
      ],
    ]
    const pasted = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom(...pieces)).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(pasted, fc.constantFrom('connection-string', 'url', 'endpoint', 'key'), (text, where) => {
        const access: AzureAccess =
          where === 'connection-string'
            ? byString(text)
            : where === 'url'
              ? { kind: 'container-sas', url: text }
              : byKey(where === 'key' ? { key: text } : { endpoint: text })
        try {
          const place = readAccess(access)
          expect(new URL(place.serviceUrl).protocol).toMatch(/^https?:$/)
          expect(sentenceOf(place)).not.toContain('sig=')
          expect(sentenceOf(place).toLowerCase()).not.toContain(key.toLowerCase())
        } catch (error) {
          expect(error).toBeInstanceOf(WdockError)
          // Host names lose their capitals.
          expect((error as WdockError).message.toLowerCase()).not.toContain(key.toLowerCase())
        }
      }),
      {
        examples: [
          [`vaulthttps://${key}`, 'endpoint'],
          [`https://${key}/?`, 'endpoint'],
        ],
      },
    )
  })
})
