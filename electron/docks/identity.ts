/**
 * Who this dock is: a key and a self-signed certificate, made at the first start and kept for ever, and the
 * name it goes by. Promises never to replace an identity file that is there but cannot be read: a new key
 * would silently undo every pairing. Relies on the config folder being the user's own.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto'
import { chmod, mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import { fsFailure, readJson, writeJsonAtomic } from '../platform/atomic-file.ts'
import type { Random } from '../platform/random.ts'
import { selfSignedCertificate } from './certificate.ts'
import { certificateHash, dockIdOf } from './dock-id.ts'

export interface Identity {
  /** See `dock-id.ts`. */
  id: string
  certificatePem: string
  privateKeyPem: string
  /** SHA-256 of the certificate's DER bytes. */
  certificateHash: Buffer
}

const identityFile = z.object({
  version: z.literal(1),
  certificatePem: z.string(),
  privateKeyPem: z.string(),
})

/** A dock's name: 1 to 64 characters, no control characters, no blank ends. */
export const dockNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(64)
  .regex(/^\P{C}+$/u)

const nameFile = z.object({ version: z.literal(1), name: dockNameSchema })

/**
 * Reads `identity.json` in `configDir`, or makes it when it is missing.
 * @throws host.state_unreadable when it is damaged, newer, or its key and certificate do not belong together
 */
export async function openIdentity(configDir: string, random: Random): Promise<Identity> {
  const path = join(configDir, 'identity.json')
  await makeFolder(configDir)
  const stored = await readJson(path, identityFile)
  if (stored === null) return createIdentity(path, random)
  const identity = identityFrom(stored, path)
  await chmod(path, 0o600).catch((error: unknown) => {
    throw fsFailure(error, path)
  })
  return identity
}

/** The stored name, else `fallback`, else the host name. @throws host.state_unreadable */
export async function readDockName(configDir: string, fallback: string | undefined): Promise<string> {
  const stored = await readJson(join(configDir, 'dock.json'), nameFile)
  const candidates = [stored?.name, fallback, hostname(), 'Dock']
  for (const candidate of candidates) {
    const parsed = dockNameSchema.safeParse(candidate)
    if (parsed.success) return parsed.data
  }
  return 'Dock'
}

/** @returns the name as stored. @throws host.bad_input for a name that cannot be one */
export async function writeDockName(configDir: string, name: string): Promise<string> {
  const parsed = dockNameSchema.safeParse(name)
  if (!parsed.success) throw fail('host.bad_input', { why: 'a name has 1 to 64 visible characters' })
  await writeJsonAtomic(join(configDir, 'dock.json'), { version: 1, name: parsed.data })
  return parsed.data
}

async function makeFolder(configDir: string): Promise<void> {
  try {
    await mkdir(configDir, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw fsFailure(error, configDir)
  }
}

async function createIdentity(path: string, random: Random): Promise<Identity> {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = selfSignedCertificate(key, random.bytes(16))
  const privateKeyPem = key.privateKey.export({ type: 'pkcs8', format: 'pem' })
  const content = {
    version: 1 as const,
    certificatePem: certificate.pem,
    privateKeyPem: privateKeyPem.toString(),
  }
  await writeJsonAtomic(path, content)
  return identityFrom(content, path)
}

function identityFrom(stored: z.infer<typeof identityFile>, path: string): Identity {
  let certificate: X509Certificate
  let privateKey: KeyObject
  try {
    certificate = new X509Certificate(stored.certificatePem)
    privateKey = createPrivateKey(stored.privateKeyPem)
  } catch (error) {
    throw fail('host.state_unreadable', { path }, { detail: String(error), cause: error })
  }
  if (!createPublicKey(privateKey).equals(certificate.publicKey)) {
    throw fail('host.state_unreadable', { path }, { detail: 'the key is not that of the certificate' })
  }
  return {
    id: dockIdOf(certificate.raw),
    certificatePem: stored.certificatePem,
    privateKeyPem: stored.privateKeyPem,
    certificateHash: certificateHash(certificate.raw),
  }
}
