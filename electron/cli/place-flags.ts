/**
 * Where a vault is, from the flags of a command. Secrets are read from a file or asked for: what stands in a command
 * line can be seen by everyone on the PC, and stays in the history of the shell.
 */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fail } from '../../shared/errors/index.ts'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import { type Call, type FlagSpec, usage } from './command.ts'

type AzureAccess = Extract<VaultPlace, { kind: 'azure' }>['access']

export const placeFlags: Readonly<Record<string, FlagSpec>> = {
  folder: { value: 'path', says: 'a folder: a drive, a network share' },
  azure: {
    value: 'kind',
    says: 'Azure Blob Storage, by connection-string, account-key or container-sas',
  },
  account: { value: 'name', says: 'storage account (with account-key)' },
  endpoint: { value: 'url', says: 'address of the account; that of Azure unless told (with account-key)' },
  container: { value: 'name', says: 'container in the account; wireless-dock unless told' },
  'secret-file': {
    value: 'file',
    says: 'holds the connection string, key or access link; asked for unless told',
  },
  azurite: { says: 'the emulator of Azure on this PC, for trying out' },
}

const secretNames: Record<AzureAccess['kind'], string> = {
  'connection-string': 'Connection string',
  'account-key': 'Access key',
  'container-sas': 'Access link of the container',
}

/** @throws command.usage, host.cancelled */
export async function placeOf(call: Call, command: { name: string }): Promise<VaultPlace> {
  const chosen = ['folder', 'azure', 'azurite'].filter((name) => call.flags[name] !== undefined)
  const [kind] = chosen
  if (kind === undefined) throw usage(command, 'one of --folder, --azure or --azurite is needed')
  if (chosen.length > 1) throw usage(command, `--${chosen[0]} and --${chosen[1]} exclude each other`)
  if (kind === 'azurite') return { kind }
  if (kind === 'folder') return { kind, path: resolve(text(call, 'folder') ?? '') }
  return { kind: 'azure', access: await azureAccess(call, command) }
}

async function azureAccess(call: Call, command: { name: string }): Promise<AzureAccess> {
  const kind = text(call, 'azure')
  const container = text(call, 'container') ?? 'wireless-dock'
  switch (kind) {
    case 'connection-string':
      return { kind, connectionString: await secret(call, secretNames[kind]), container }
    case 'account-key': {
      const account = text(call, 'account')
      if (account === null) throw usage(command, '--account is needed with an access key')
      const endpoint = text(call, 'endpoint')
      return { kind, account, key: await secret(call, secretNames[kind]), endpoint, container }
    }
    case 'container-sas':
      return { kind, url: await secret(call, secretNames[kind]) }
    default:
      throw usage(command, '--azure must be connection-string, account-key or container-sas')
  }
}

async function secret(call: Call, name: string): Promise<string> {
  return await fileOrAnswer(call, 'secret-file', name)
}

/**
 * What a flag's file holds, or what the person answers, without blank ends. @param flag the flag that names a file
 * @throws host.bad_input, command.no_answer where nobody can be asked, host.cancelled for an empty answer
 */
export async function fileOrAnswer(call: Call, flag: string, name: string): Promise<string> {
  const path = text(call, flag)
  if (path !== null) {
    const content = await readFile(resolve(path), 'utf8').catch((error: unknown) => {
      throw fail('host.bad_input', { why: `${path} cannot be read` }, { cause: error })
    })
    return content.trim()
  }
  const answer = await call.io.ask(`${name}: `)
  if (answer === null) throw fail('command.no_answer', { what: name, flag })
  if (answer.trim() === '') throw fail('host.cancelled')
  return answer.trim()
}

/** The value of a flag; null when it was not given. */
export function text(call: Call, name: string): string | null {
  const value = call.flags[name]
  return typeof value === 'string' ? value : null
}
