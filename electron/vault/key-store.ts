/**
 * Where a vault's key is kept on this PC: in the desktop's keyring (Secret Service, by the tool `secret-tool` of
 * libsecret), or, where there is none, in a file that only this user can read. Promises to say which, to have
 * read back what it says is kept, and that a keyring that does not answer is not taken for a key that is not
 * there. Relies on the config folder being the user's own.
 *
 * `<config>/vault-keys/<vault id>.json` says where the key is, and holds it if there is no keyring.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import { fsFailure, readJson, writeJsonAtomic } from '../platform/atomic-file.ts'

/** What `secret-tool` said; code null when it could not be started or was ended for taking too long. */
export interface SecretToolResult {
  code: number | null
  stdout: string
}

/** Runs `secret-tool` with arguments; `input` goes to its stdin. Never rejects. */
export type SecretTool = (args: readonly string[], input: string) => Promise<SecretToolResult>

export type KeyPlace = 'keyring' | 'file'

export interface KeptKey {
  vaultKey: Buffer
  place: KeyPlace
}

const keyFile = z.discriminatedUnion('place', [
  z.object({ version: z.literal(1), place: z.literal('keyring') }),
  z.object({ version: z.literal(1), place: z.literal('file'), key: z.base64().length(44) }),
])

const keyBytes = 32
const vaultIdPattern = /^[0-9a-f]{32}$/
/** A keyring may ask the person for its password first. */
const answerMs = 60_000

/** Runs the real tool. Keys go through pipes: they are in no command line and in no environment. */
export const systemSecretTool: SecretTool = (args, input) => {
  const { promise, resolve } = Promise.withResolvers<SecretToolResult>()
  const options = { timeout: answerMs, maxBuffer: 64 * 1024, encoding: 'utf8' } as const
  const child = execFile('secret-tool', args, options, (error, stdout) => {
    if (error === null) resolve({ code: 0, stdout })
    else resolve({ code: typeof error.code === 'number' ? error.code : null, stdout: '' })
  })
  // Without a tool, or when it does not read: the callback tells.
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  return promise
}

export class KeyStore {
  readonly #folder: string
  readonly #tool: SecretTool
  /** Tells this dock's keys from those of another dock of the same user. */
  readonly #dock: string

  constructor(configDir: string, tool: SecretTool = systemSecretTool) {
    this.#folder = join(configDir, 'vault-keys')
    this.#tool = tool
    this.#dock = createHash('sha256').update(configDir).digest('hex').slice(0, 16)
  }

  /** Where the key is, in a sentence for the person whose PC this is. */
  sentence(vaultId: string, place: KeyPlace): string {
    if (place === 'keyring') return 'The vault’s key is kept in the keyring of this desktop.'
    return `The vault’s key is kept in the file ${this.#path(vaultId)}, which only you can read: this desktop offers no keyring.`
  }

  /**
   * Keeps a key: in the keyring if it gives it back, else in the file.
   * @throws host.disk_full, host.no_permission
   */
  async save(vaultId: string, vaultKey: Buffer): Promise<KeyPlace> {
    const path = this.#path(vaultId)
    await mkdir(this.#folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw fsFailure(error, this.#folder)
    })
    const place = (await this.#saveInKeyring(vaultId, vaultKey)) ? 'keyring' : 'file'
    const key = place === 'file' ? { key: vaultKey.toString('base64') } : {}
    await writeJsonAtomic(path, { version: 1, place, ...key })
    return place
  }

  /**
   * The key of a vault; null when none was kept here.
   * @throws vault.keyring_silent when it is in a keyring that does not give it; host.state_unreadable
   */
  async load(vaultId: string): Promise<KeptKey | null> {
    const path = this.#path(vaultId)
    const stored = await readJson(path, keyFile)
    if (stored === null) return null
    await chmod(path, 0o600).catch((error: unknown) => {
      throw fsFailure(error, path)
    })
    if (stored.place === 'file') return { vaultKey: Buffer.from(stored.key, 'base64'), place: 'file' }
    const vaultKey = await this.#loadFromKeyring(vaultId)
    if (vaultKey === null) throw fail('vault.keyring_silent')
    return { vaultKey, place: 'keyring' }
  }

  /** Forgets a key, wherever it is. A keyring that does not answer keeps it. */
  async remove(vaultId: string): Promise<void> {
    const path = this.#path(vaultId)
    await this.#tool(['clear', ...this.#attributes(vaultId)], '')
    await rm(path, { force: true }).catch((error: unknown) => {
      throw fsFailure(error, path)
    })
  }

  async #saveInKeyring(vaultId: string, vaultKey: Buffer): Promise<boolean> {
    const label = `Wireless Dock+: vault ${vaultId.slice(0, 8)}`
    const args = ['store', `--label=${label}`, ...this.#attributes(vaultId)]
    const { code } = await this.#tool(args, vaultKey.toString('base64'))
    if (code !== 0) return false
    return (await this.#loadFromKeyring(vaultId))?.equals(vaultKey) ?? false
  }

  async #loadFromKeyring(vaultId: string): Promise<Buffer | null> {
    const { code, stdout } = await this.#tool(['lookup', ...this.#attributes(vaultId)], '')
    const vaultKey = Buffer.from(stdout.trim(), 'base64')
    return code === 0 && vaultKey.length === keyBytes ? vaultKey : null
  }

  #attributes(vaultId: string): string[] {
    return ['application', 'wireless-dock', 'dock', this.#dock, 'vault', vaultId]
  }

  #path(vaultId: string): string {
    if (!vaultIdPattern.test(vaultId)) throw new RangeError('not the id of a vault')
    return join(this.#folder, `${vaultId}.json`)
  }
}
