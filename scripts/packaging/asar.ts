/**
 * The archive format that Electron starts an app from: a Pickle-framed JSON index, then the files end to end
 * (https://github.com/electron/asar#format). Only what the proof needs: make one, list one, extract one.
 * Promises to extract nothing outside the target folder.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'

type Node =
  | { files: Record<string, Node> }
  | { size: number; offset: string }
  | { unpacked: true; size: number }

const name = z.string().regex(/^(?!\.{1,2}$)[^/\\\0]+$/)
const node: z.ZodType<Node> = z.lazy(() =>
  z.union([
    z.object({ files: z.record(name, node) }),
    z.object({ size: z.number(), unpacked: z.literal(true) }),
    z.object({ size: z.number().int().nonnegative(), offset: z.string().regex(/^\d+$/) }),
  ]),
)

export interface AsarFile {
  /** Relative, with `/`. */
  path: string
  content: Buffer
}

/** Everything in an archive that is stored inside it. @throws when it is not an archive */
export function readAsar(archivePath: string): AsarFile[] {
  const bytes = readFileSync(archivePath)
  const headerBytes = bytes.readUInt32LE(4)
  const jsonBytes = bytes.readUInt32LE(12)
  const index = node.parse(JSON.parse(bytes.toString('utf8', 16, 16 + jsonBytes)))
  const start = 8 + headerBytes
  return filesBelow(index, '').map(({ path, offset, size }) => ({
    path,
    content: bytes.subarray(start + offset, start + offset + size),
  }))
}

function filesBelow(from: Node, path: string): { path: string; offset: number; size: number }[] {
  if ('files' in from) {
    return Object.entries(from.files).flatMap(([key, child]) =>
      filesBelow(child, path === '' ? key : `${path}/${key}`),
    )
  }
  return 'offset' in from ? [{ path, offset: Number(from.offset), size: from.size }] : []
}

export function extractAsar(archivePath: string, targetDir: string): AsarFile[] {
  const files = readAsar(archivePath)
  for (const file of files) {
    const target = join(targetDir, file.path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, file.content)
  }
  return files
}

/** An archive with one file in its root. */
export function packOneFile(fileName: string, content: string): Buffer {
  const body = Buffer.from(content)
  const index = Buffer.from(JSON.stringify({ files: { [fileName]: { size: body.length, offset: '0' } } }))
  const padded = Buffer.alloc(Math.ceil(index.length / 4) * 4)
  index.copy(padded)
  const head = Buffer.alloc(16)
  head.writeUInt32LE(4, 0)
  head.writeUInt32LE(padded.length + 8, 4)
  head.writeUInt32LE(padded.length + 4, 8)
  head.writeUInt32LE(index.length, 12)
  return Buffer.concat([head, padded, body])
}
