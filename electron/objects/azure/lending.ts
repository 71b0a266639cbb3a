/**
 * Links to what lies in Azure. Each share is a container of its own with one stored access policy, and its link a SAS
 * that names the policy and says nothing else: taking the policy away ends the link, which a SAS with its own times
 * would outlive. Promises that a link reads blobs of its container by name, and does nothing else. Azure puts a policy
 * in force, and out of it, within 30 s. Relies on an account key: only it can sign.
 */
import {
  BlobSASPermissions,
  type ContainerClient,
  type ContainerItem,
  generateBlobSASQueryParameters,
  SASProtocol,
  type StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { fail, isCode } from '../../../shared/errors/index.ts'
import type { Clock } from '../../platform/clock.ts'
import { checkName } from '../names.ts'
import type { CallOptions, Lending, LendSpan } from '../object-store.ts'
import { type AzureClient, abortBy, asBuffer } from './client.ts'

const containerPrefix = 'wdock-share-'
const policyId = 'lend'
/** A policy without an end needs the end in the SAS, which then could not be taken back. */
const forEver = new Date('9999-12-31T23:59:59Z')
/** For a copy between our own containers; the service's clock may be 15 minutes off ours. */
const sourceSasMs = 60 * 60_000

export class AzureLending implements Lending {
  readonly #client: AzureClient
  readonly #credential: StorageSharedKeyCredential
  readonly #clock: Pick<Clock, 'nowMs'>

  constructor(client: AzureClient, credential: StorageSharedKeyCredential, clock: Pick<Clock, 'nowMs'>) {
    this.#client = client
    this.#credential = credential
    this.#clock = clock
  }

  async open(shareId: string, span: LendSpan, options: CallOptions = {}): Promise<{ address: string }> {
    const container = this.#share(shareId)
    await this.#client.ask('', options, async () => {
      await container.createIfNotExists({ metadata: writeSpan(span), ...abortBy(options) })
      const accessPolicy = {
        ...(span.startMs === null ? {} : { startsOn: new Date(span.startMs) }),
        expiresOn: span.endMs === null ? forEver : new Date(span.endMs),
        permissions: 'r',
      }
      // No public access: undefined.
      await container.setAccessPolicy(undefined, [{ id: policyId, accessPolicy }], abortBy(options))
    })
    const sas = generateBlobSASQueryParameters(
      {
        ...{ containerName: container.containerName, identifier: policyId },
        ...(container.url.startsWith('https:') ? { protocol: SASProtocol.Https } : {}),
      },
      this.#credential,
    )
    return { address: `${container.url}?${sas}` }
  }

  async put(shareId: string, name: string, body: Uint8Array, options: CallOptions = {}): Promise<void> {
    checkName(name)
    const blob = this.#share(shareId).getBlockBlobClient(name)
    await this.#inShare(options, name, () => blob.upload(asBuffer(body), body.length, abortBy(options)))
  }

  async copy(shareId: string, name: string, options: CallOptions = {}): Promise<void> {
    checkName(name)
    const { container } = this.#client.place
    const source = this.#client.container(container).getBlobClient(name)
    const sas = generateBlobSASQueryParameters(
      {
        ...{ containerName: container, blobName: name, permissions: BlobSASPermissions.parse('r') },
        expiresOn: new Date(this.#clock.nowMs() + sourceSasMs),
      },
      this.#credential,
    )
    const target = this.#share(shareId).getBlobClient(name)
    await this.#inShare(options, name, () => target.syncCopyFromURL(`${source.url}?${sas}`, abortBy(options)))
  }

  async revoke(shareId: string, options: CallOptions = {}): Promise<void> {
    const container = this.#share(shareId)
    try {
      await this.#client.ask('', options, async () => {
        await container.setAccessPolicy(undefined, [], abortBy(options))
        await container.deleteIfExists(abortBy(options))
      })
    } catch (error) {
      if (!isCode(error, 'store.no_container')) throw error
    }
  }

  async *list(options: CallOptions = {}): AsyncGenerator<{ shareId: string; span: LendSpan }> {
    let token: string | undefined
    do {
      const page = await this.#client.ask('', options, () => this.#listPage(token, options))
      for (const { name, metadata } of page.items) {
        yield { shareId: name.slice(containerPrefix.length), span: readSpan(metadata) }
      }
      token = page.next
    } while (token !== undefined)
  }

  async #listPage(
    token: string | undefined,
    options: CallOptions,
  ): Promise<{ items: ContainerItem[]; next: string | undefined }> {
    const pages = this.#client
      .service()
      .listContainers({ prefix: containerPrefix, includeMetadata: true, ...abortBy(options) })
      .byPage({ maxPageSize: 1000, ...(token === undefined ? {} : { continuationToken: token }) })
    const page = (await pages.next()).value
    return { items: page?.containerItems ?? [], next: page?.continuationToken || undefined }
  }

  /** @throws store.bad_name */
  #share(shareId: string): ContainerClient {
    if (!/^[0-9a-f]{32}$/.test(shareId)) throw fail('store.bad_name', { name: shareId })
    return this.#client.container(`${containerPrefix}${shareId}`)
  }

  /** @throws store.share_gone when the link was taken back while it was prepared */
  async #inShare(options: CallOptions, name: string, request: () => Promise<unknown>): Promise<void> {
    try {
      await this.#client.ask(name, options, request)
    } catch (error) {
      throw isCode(error, 'store.no_container') ? fail('store.share_gone') : error
    }
  }
}

/** Names of metadata are identifiers of C#. */
function writeSpan(span: LendSpan): Record<string, string> {
  return {
    ...(span.startMs === null ? {} : { wdockstart: String(span.startMs) }),
    ...(span.endMs === null ? {} : { wdockend: String(span.endMs) }),
  }
}

function readSpan(metadata: Record<string, string> | undefined): LendSpan {
  const read = (text: string | undefined) => (text && /^\d{1,15}$/.test(text) ? Number(text) : null)
  return { startMs: read(metadata?.wdockstart), endMs: read(metadata?.wdockend) }
}
