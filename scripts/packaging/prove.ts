/**
 * Proves the packing without Electron's binary: electron-builder packs the built app around a placeholder, the
 * archive is opened again, and hosts are started as an installed program starts them: out of the archive, and by
 * `wdock` on the packed Node. Promises to use no network once the demo guest is there, and to leave nothing behind.
 *
 *   node scripts/packaging/prove.ts
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { extractAsar } from './asar.ts'
import { type DebContents, packDeb } from './deb.ts'
import { askHost, type HostAnswers, wdockEnvironment } from './packed-host.ts'
import { makePlaceholder, readFuses } from './placeholder.ts'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
const packTimeoutMs = 60_000

export interface PackingProof {
  /** Paths inside the archive. */
  archived: string[]
  /** Fuses of the packed executable. */
  fuses: Record<string, boolean>
  /** What lies beside the archive. */
  resources: string[]
  /** What the host that was started out of the archive said. */
  archive: HostAnswers
  /** What `wdock agent` said, called through a link from another folder. */
  agent: HostAnswers
  /** What `wdock` printed when it was asked for a demo guest, and for a window where there is no browser. */
  commands: string[]
  deb: DebContents
}

export async function provePacking(): Promise<PackingProof> {
  const dir = mkdtempSync(join(tmpdir(), 'wdp-'))
  try {
    await run(process.execPath, [join(root, 'scripts/build.mjs'), '--quiet'], { cwd: root })
    const packed = await pack(dir)
    const resources = readdirSync(join(packed, 'resources')).sort()
    const electronSees = openArchive(packed, join(dir, 'seen'))
    const wdock = linkWdock(packed, join(dir, 'bin'))
    const commands: string[] = []
    return {
      archived: electronSees.archived,
      fuses: readFuses(join(packed, 'wireless-dock-plus')),
      resources,
      archive: await askHost([process.execPath, electronSees.entry, '--json'], join(dir, 'h1')),
      agent: await askHost([wdock, 'agent', '--json'], join(dir, 'h2'), async (home) => {
        const env = { ...wdockEnvironment(home), DISPLAY: ':9', WDOCK_BROWSER: '/nowhere' }
        for (const words of [['guest', 'create', 'Packed guest', '--demo'], ['open']]) {
          commands.push((await run(wdock, words, { env })).stdout)
        }
      }),
      commands,
      deb: await packDeb(packed, dir),
    }
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** @returns the folder with the packed app */
async function pack(dir: string): Promise<string> {
  const electronPackage = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(join(root, 'node_modules/electron/package.json'), 'utf8')))
  const placeholder = join(dir, 'electron')
  makePlaceholder(placeholder, electronPackage.version)
  const builder = join(root, 'node_modules/electron-builder/cli.js')
  const options = [
    '--linux=dir',
    '--x64',
    '--publish=never',
    `--config.electronDist=${placeholder}`,
    `--config.directories.output=${join(dir, 'out')}`,
  ]
  await run(process.execPath, [builder, ...options], { cwd: root, timeout: packTimeoutMs })
  return join(dir, 'out/linux-unpacked')
}

/** Lays the archive out as Electron shows it to the app: a folder named as the file, among its neighbours. */
function openArchive(packed: string, dir: string): { archived: string[]; entry: string } {
  const resources = join(dir, 'resources')
  const files = extractAsar(join(packed, 'resources/app.asar'), join(resources, 'app.asar'))
  symlinkSync(join(packed, 'resources/demo-guest'), join(resources, 'demo-guest'))
  return { archived: files.map((file) => file.path), entry: join(resources, 'app.asar/dist/headless.mjs') }
}

/** `wdock` on a PATH, as a person links it. */
function linkWdock(packed: string, dir: string): string {
  mkdirSync(dir)
  symlinkSync(join(packed, 'wdock'), join(dir, 'wdock'))
  return join(dir, 'wdock')
}

if (import.meta.main) {
  process.stdout.write(`${JSON.stringify(await provePacking(), null, 2)}\n`)
}
