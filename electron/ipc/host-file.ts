/**
 * `host.json` in the runtime folder: where this user's host listens and the token for it. Readable by the
 * user only, whole or absent, removed at the end; a file that a crash left behind names a dead process.
 */
import { readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readJson, writeJsonAtomic } from '../platform/atomic-file.ts'
import { isAlive, processIdentity } from '../platform/processes.ts'

const hostFile = z.object({
  version: z.literal(1),
  pid: z.number().int().positive(),
  /** Start time of the process, which tells a reused pid from the host. */
  startTicks: z.number(),
  /** `http://127.0.0.1:<port>/` */
  url: z.url(),
  token: z.string().min(32),
})
export type HostFile = z.infer<typeof hostFile>

export function hostFilePath(runtimeDir: string): string {
  return join(runtimeDir, 'host.json')
}

/** @returns a function that removes the file, unless another host has replaced it. */
export async function writeHostFile(
  runtimeDir: string,
  address: { url: string; token: string },
): Promise<() => Promise<void>> {
  const path = hostFilePath(runtimeDir)
  const startTicks = processIdentity(process.pid)?.startTicks ?? 0
  await writeJsonAtomic(path, { version: 1, pid: process.pid, startTicks, ...address })
  return async () => {
    const text = await readFile(path, 'utf8').catch(() => '')
    if (text.includes(address.token)) await unlink(path).catch(() => {})
  }
}

/**
 * The address of the host that runs on this runtime folder; null when none does.
 * @throws host.state_unreadable
 */
export async function readHostFile(runtimeDir: string): Promise<HostFile | null> {
  const found = await readJson(hostFilePath(runtimeDir), hostFile)
  return found !== null && isAlive(found) ? found : null
}
