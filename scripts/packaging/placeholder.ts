/**
 * A folder with the shape of an Electron distribution and none of its code, so that packing can be proved
 * where Electron cannot be fetched. What electron-builder looks for: the executable with its fuse wire, the
 * licences, a locale and the default app.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packOneFile } from './asar.ts'

/** Marks the fuse wire in Electron's executable (https://www.electronjs.org/docs/latest/tutorial/fuses). */
const sentinel = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'
/** In the order of the wire, as `FuseV1Options` of @electron/fuses. */
const fuseNames = [
  'runAsNode',
  'enableCookieEncryption',
  'enableNodeOptionsEnvironmentVariable',
  'enableNodeCliInspectArguments',
  'enableEmbeddedAsarIntegrityValidation',
  'onlyLoadAppFromAsar',
  'loadBrowserProcessSpecificV8Snapshot',
  'grantFileProtocolExtraPrivileges',
] as const
/** As Electron ships: what is dangerous is on. */
const shippedFuses = '10110001'

export function makePlaceholder(dir: string, electronVersion: string): void {
  for (const folder of ['', 'locales', 'resources']) mkdirSync(join(dir, folder), { recursive: true })
  const wire = Buffer.concat([
    Buffer.from(`#!/bin/sh\necho "this is a placeholder for Electron" >&2\nexit 1\n${sentinel}`),
    Buffer.from([1, fuseNames.length]),
    Buffer.from(shippedFuses),
  ])
  writeFileSync(join(dir, 'electron'), wire, { mode: 0o755 })
  writeFileSync(join(dir, 'version'), electronVersion)
  writeFileSync(join(dir, 'LICENSE'), 'placeholder\n')
  writeFileSync(join(dir, 'LICENSES.chromium.html'), '<!doctype html><title>placeholder</title>\n')
  writeFileSync(join(dir, 'locales/en-US.pak'), '')
  writeFileSync(join(dir, 'resources/default_app.asar'), packOneFile('package.json', '{"main":"main.js"}'))
}

/** Which fuses are on in an executable. @throws when it has no fuse wire of version 1 */
export function readFuses(executable: string): Record<string, boolean> {
  const bytes = readFileSync(executable)
  const at = bytes.indexOf(sentinel) + sentinel.length
  if (at < sentinel.length || bytes[at] !== 1) throw new Error(`${executable} has no fuse wire of version 1`)
  return Object.fromEntries(fuseNames.map((fuse, index) => [fuse, bytes[at + 2 + index] === 0x31]))
}
