/**
 * Disk images through qemu-img. Promises that a file is looked at before it is believed (a regular file, of a
 * known format, standing alone), that qemu-img is always told the format, that every run is bounded in time,
 * and that a failed or cancelled import leaves nothing behind. Relies on qemu-img of QEMU 7.2 or newer.
 */
import { chmod, open, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { fail, isCode, type WdockError } from '../../shared/errors/index.ts'
import { formatBytes } from '../../shared/format.ts'
import { fsFailure, syncFolder, systemErrorCode } from '../platform/atomic-file.ts'
import { runTool, ToolEnded, type ToolResult } from '../platform/processes.ts'
import { type ImageFormat, sniffBytes, sniffFormat } from './image-format.ts'

export type { ImageFormat } from './image-format.ts'

const qemuImg = 'qemu-img'
const quickMs = 15_000
/** A terabyte from a slow disk; a person can cancel at any time. */
const longMs = 12 * 3600 * 1000

export interface ImageInfo {
  format: ImageFormat
  virtualSizeBytes: number
  /** What the file takes on the disk. */
  allocatedBytes: number
  /** As written in the image; null when it stands alone. */
  backingFile: string | null
}

export interface InspectOptions {
  /** Known beforehand: nothing is guessed. */
  format?: ImageFormat
  /** Look at an image that a running guest holds. */
  inUse?: boolean
  signal?: AbortSignal
}

const infoAnswer = z.object({
  format: z.string(),
  'virtual-size': z.number(),
  'actual-size': z.number(),
  'backing-filename': z.string().optional(),
  encrypted: z.boolean().optional(),
  'format-specific': z
    .object({ data: z.object({ 'data-file': z.string().optional(), corrupt: z.boolean().optional() }) })
    .optional(),
})

/**
 * Looks at an image without opening what it is backed by.
 * @throws disk.missing, disk.not_a_file, disk.not_an_image, disk.truncated, disk.locked, disk.backed_outside
 * (only for a qcow2 whose data lies in another file), host.no_permission, host.cancelled
 */
export async function inspectImage(path: string, options: InspectOptions = {}): Promise<ImageInfo> {
  const file = resolve(path)
  const format = await lookAt(file, options.format ?? null)
  const args = ['info', '--output=json', '-f', format, ...(options.inUse ? ['-U'] : []), file]
  const result = await runImageTool(args, file, quickMs, options.signal)
  const parsed = infoAnswer.safeParse(parseJson(result.stdout))
  if (!parsed.success) throw fail('disk.not_an_image', { path }, { detail: parsed.error.message })
  const info = parsed.data
  const data = info['format-specific']?.data
  if (data?.['data-file'] !== undefined) {
    throw fail('disk.backed_outside', { path, backing: data['data-file'] })
  }
  if (data?.corrupt) throw fail('disk.truncated', { path }, { detail: 'the image is marked corrupt' })
  if (info.encrypted) throw fail('disk.not_an_image', { path }, { detail: 'the image is encrypted' })
  return {
    format,
    virtualSizeBytes: info['virtual-size'],
    allocatedBytes: info['actual-size'],
    backingFile: info['backing-filename'] ?? null,
  }
}

/** Follows links, but what they lead to must be a regular file: a device or pipe is never opened. */
async function lookAt(path: string, known: ImageFormat | null): Promise<ImageFormat> {
  const found = await stat(path).catch((error) => {
    throw accessFailure(error, path)
  })
  if (!found.isFile()) throw fail('disk.not_a_file', { path })
  const head = await readHead(path)
  const sniffed = sniffFormat(head)
  const format = known ?? (sniffed.kind === 'image' ? sniffed.format : null)
  if (format === null) {
    const detail =
      sniffed.kind === 'foreign' ? `It is a ${sniffed.name} image.` : 'No disk was recognised in it.'
    throw fail('disk.not_an_image', { path }, { detail })
  }
  if (format === 'qcow2' && (sniffed.kind !== 'image' || sniffed.format !== 'qcow2')) {
    throw fail('disk.not_an_image', { path }, { detail: 'It does not begin as a qcow2 image does.' })
  }
  if (format === 'raw' && (found.size === 0 || found.size % 512 !== 0)) {
    throw fail('disk.truncated', { path }, { detail: `${found.size} bytes are not whole sectors` })
  }
  return format
}

async function readHead(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r').catch((error) => {
    throw accessFailure(error, path)
  })
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(sniffBytes), 0, sniffBytes, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

function accessFailure(error: unknown, path: string): WdockError {
  const code = systemErrorCode(error)
  if (code === 'ENOENT' || code === 'ENOTDIR') return fail('disk.missing', { path })
  if (code === 'ELOOP' || code === 'EISDIR') return fail('disk.not_a_file', { path })
  return fsFailure(error, path)
}

/** Makes an empty qcow2 of `virtualSizeBytes`. @throws host.disk_full, disk.image_tool_failed */
export async function createEmpty(path: string, virtualSizeBytes: number): Promise<void> {
  await create(path, ['-f', 'qcow2', '-o', 'compat=1.1', resolve(path), String(virtualSizeBytes)])
}

/**
 * Makes an empty qcow2 on top of another one. `backing` is written as given: relative to the new image's
 * folder, so that the files mean the same on every dock. The backing image need not be there yet.
 */
export async function createOverlay(
  path: string,
  options: { backing: string; virtualSizeBytes: number },
): Promise<void> {
  const { backing, virtualSizeBytes } = options
  const args = ['-f', 'qcow2', '-o', 'compat=1.1', '-u', '-F', 'qcow2', '-b', backing]
  await create(path, [...args, resolve(path), String(virtualSizeBytes)])
}

async function create(path: string, args: string[]): Promise<void> {
  const existing = await stat(path).catch(() => null)
  if (existing) throw fail('disk.image_tool_failed', { path }, { detail: 'there is a file already' })
  try {
    await runImageTool(['create', '-q', ...args], path, quickMs)
    await chmod(path, 0o600)
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

/**
 * Copies what `overlay` has into the image below it, which then has all of it on the disk; the overlay stays as it is,
 * so that a commit which was broken off is simply made again. Nobody may have either open. The whole chain is
 * given, bottom first, so that no backing name in a file is followed.
 * @throws disk.locked, disk.truncated, host.disk_full, host.no_permission, disk.image_tool_failed, host.cancelled
 */
export async function commitOverlay(
  overlay: string,
  below: readonly string[],
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  const chain = chainName([...below, overlay])
  await runImageTool(['commit', '-q', '-d', chain], overlay, longMs, options.signal)
  const target = below.at(-1)
  if (target !== undefined) await syncFile(target)
}

/** qcow2 files on top of each other, bottom first, as a name for QEMU's tools: what a file says it is backed by counts not. */
export function chainName(paths: readonly string[]): string {
  let chain: Record<string, unknown> | null = null
  for (const path of paths) {
    chain = { driver: 'qcow2', file: { driver: 'file', filename: resolve(path) }, backing: chain }
  }
  return `json:${JSON.stringify(chain)}`
}

/**
 * Copies into a qcow2 that nobody has open what an NBD export has below it, and leaves it standing alone. What is in
 * the image already stays. May be broken off and called again. @param onProgress of the whole, 0 to 1
 * @throws disk.locked, disk.truncated, host.disk_full, host.no_permission, disk.image_tool_failed, host.cancelled
 */
export async function fillFromExport(
  path: string,
  from: { socketPath: string; exportName: string },
  options: Pick<ImportOptions, 'onProgress' | 'signal'> = {},
): Promise<void> {
  const server = { type: 'unix', path: from.socketPath }
  const backing = { driver: 'nbd', server, export: from.exportName, 'read-only': true }
  const chain = { driver: 'qcow2', file: { driver: 'file', filename: resolve(path) }, backing }
  const args = ['rebase', '-p', '-b', '', `json:${JSON.stringify(chain)}`]
  await runImageTool(args, path, longMs, options.signal, (text) => {
    const fraction = progressIn(text)
    if (fraction !== null) options.onProgress?.(fraction)
  })
  await syncFile(path)
}

export interface ImportOptions {
  /** Of the whole, 0 to 1. */
  onProgress?: (fraction: number) => void
  signal?: AbortSignal
  /** Known beforehand: nothing is guessed. */
  format?: ImageFormat
}

/**
 * Copies a person's image into a qcow2 of ours that stands alone. @returns what was read.
 * @throws what `inspectImage` throws; disk.backed_outside; disk.truncated; disk.no_space; host.cancelled
 */
export async function importImage(
  source: string,
  destination: string,
  options: ImportOptions = {},
): Promise<ImageInfo> {
  const signal = options.signal ? { signal: options.signal } : {}
  const known = options.format ? { format: options.format } : {}
  const info = await inspectImage(source, { ...signal, ...known })
  if (info.backingFile !== null) {
    throw fail('disk.backed_outside', { path: source, backing: info.backingFile })
  }
  await needSpace(destination, info.allocatedBytes)
  if (info.format === 'qcow2' && !(await checkImage(source, signal)).sound) {
    throw fail('disk.truncated', { path: source })
  }
  const partial = `${resolve(destination)}.part`
  try {
    await convert(resolve(source), partial, info.format, options)
    await chmod(partial, 0o600)
    await syncFile(partial)
    await rename(partial, destination)
    await syncFolder(dirname(resolve(destination)))
  } catch (error) {
    await rm(partial, { force: true })
    if (isCode(error, 'host.disk_full')) throw await noSpace(destination, info.allocatedBytes)
    throw fsFailure(error, destination)
  }
  return info
}

async function convert(
  source: string,
  destination: string,
  format: ImageFormat,
  options: ImportOptions,
): Promise<void> {
  const args = ['convert', '-p', '-f', format, '-O', 'qcow2', '-o', 'compat=1.1', source, destination]
  await runImageTool(args, source, longMs, options.signal, (text) => {
    const fraction = progressIn(text)
    if (fraction !== null) options.onProgress?.(fraction)
  })
}

/** The last progress in a piece of `qemu-img -p` output, such as `    (12.34/100%)\r`; null when none. */
export function progressIn(text: string): number | null {
  const last = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1)?.[1]
  return last === undefined ? null : Math.min(1, Number(last) / 100)
}

export interface CheckResult {
  /** No corruption, no error while checking, nothing beyond the end of the file. */
  sound: boolean
  /** Sound, and no cluster lost either. */
  clean: boolean
  corruptions: number
  leaks: number
}

const checkAnswer = z.object({
  'check-errors': z.number().optional(),
  corruptions: z.number().optional(),
  leaks: z.number().optional(),
  'image-end-offset': z.number().optional(),
})

/** Checks a qcow2 image that nobody uses. @throws disk.locked, disk.not_an_image, host.cancelled */
export async function checkImage(path: string, options: { signal?: AbortSignal } = {}): Promise<CheckResult> {
  const file = resolve(path)
  const args = ['check', '--output=json', '-f', 'qcow2', file]
  const result = await runImageTool(args, file, longMs, options.signal, undefined, [0, 1, 2, 3])
  const parsed = checkAnswer.safeParse(parseJson(result.stdout))
  if (!parsed.success) throw toolFailure(file, result)
  const answer = parsed.data
  const corruptions = (answer.corruptions ?? 0) + (answer['check-errors'] ?? 0)
  const leaks = answer.leaks ?? 0
  const { size } = await stat(file)
  // The last cluster is allotted whole and may be written in part, as in an image that was just made.
  const missingBytes = (answer['image-end-offset'] ?? 0) - size
  const sound = corruptions === 0 && missingBytes < clusterBytes(await readHead(file))
  return { sound, clean: sound && leaks === 0, corruptions, leaks }
}

/** The cluster size of a qcow2 from its header (QEMU's docs/interop/qcow2: cluster_bits, bytes 20 to 23). */
function clusterBytes(head: Uint8Array): number {
  return 2 ** Math.min(21, new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(20))
}

/** Bytes that this user may still write on the file system of `path`, which must exist. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path).catch((error) => {
    throw accessFailure(error, path)
  })
  return bavail * bsize
}

/** @throws disk.no_space when less than `neededBytes` are free where `path` will be */
async function needSpace(path: string, neededBytes: number): Promise<void> {
  if ((await freeBytes(dirname(resolve(path)))) < neededBytes) throw await noSpace(path, neededBytes)
}

async function noSpace(path: string, neededBytes: number): Promise<WdockError> {
  const free = await freeBytes(dirname(resolve(path)))
  return fail('disk.no_space', { needed: formatBytes(neededBytes), free: formatBytes(free) })
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function runImageTool(
  args: string[],
  path: string,
  timeoutMs: number,
  signal?: AbortSignal,
  onStdout?: (text: string) => void,
  goodCodes: readonly number[] = [0],
): Promise<ToolResult> {
  try {
    const result = await runTool(qemuImg, args, {
      timeoutMs,
      ...(signal ? { signal } : {}),
      ...(onStdout ? { onStdout } : {}),
    })
    if (result.code !== null && goodCodes.includes(result.code)) return result
    throw toolFailure(path, result)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') throw fail('qemu.missing', {}, { cause: error })
    if (error instanceof ToolEnded) throw fail('disk.image_tool_failed', { path }, { detail: error.message })
    throw error
  }
}

/** The words of qemu-img, or of its sisters, as a coded error. */
export function toolFailure(path: string, result: Pick<ToolResult, 'stderr' | 'code'>): WdockError {
  const detail = result.stderr.trim().slice(-2000) || `exit code ${result.code}`
  if (/Failed to get .*lock|Is another process using/.test(detail))
    return fail('disk.locked', { path }, { detail })
  if (/No space left on device|Disk quota exceeded/.test(detail))
    return fail('host.disk_full', { path }, { detail })
  if (/Permission denied/.test(detail)) return fail('host.no_permission', { path }, { detail })
  if (
    /Could not open|Image is corrupt|truncated|end of file|Could not read|too large|Invalid argument/i.test(
      detail,
    )
  ) {
    return fail('disk.truncated', { path }, { detail })
  }
  return fail('disk.image_tool_failed', { path }, { detail })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
