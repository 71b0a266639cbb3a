/**
 * Proves the packing without Electron's binary: electron-builder packs the built app around a placeholder, the
 * archive is opened again, and the host is started out of it and asked for its state. Promises to use no
 * network and to leave nothing behind.
 *
 *   node scripts/packaging/prove.ts
 */
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { z } from 'zod'
import { connectToHost } from '../../electron/ipc/connect.ts'
import { choosePaths } from '../../electron/platform/paths.ts'
import { extractAsar } from './asar.ts'
import { makePlaceholder, readFuses } from './placeholder.ts'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
const packTimeoutMs = 60_000
const readyTimeoutMs = 20_000

export interface PackingProof {
  /** Paths inside the archive. */
  archived: string[]
  /** Fuses of the packed executable. */
  fuses: Record<string, boolean>
  /** What lies beside the archive. */
  resources: string[]
  /** What the host that was started out of the archive said of itself. */
  host: { appVersion: string; dockName: string }
  /** The status and type of the page that it served. */
  page: { status: number; type: string | null }
  /** Its exit code after SIGTERM. */
  exitCode: number | null
}

export async function provePacking(): Promise<PackingProof> {
  const dir = mkdtempSync(join(tmpdir(), 'wdock-pack-'))
  try {
    await run(process.execPath, [join(root, 'scripts/build.mjs'), '--quiet'], { cwd: root })
    const packed = await pack(dir)
    const extracted = join(dir, 'extracted')
    const files = extractAsar(join(packed, 'resources/app.asar'), extracted)
    return {
      archived: files.map((file) => file.path),
      fuses: readFuses(join(packed, 'wireless-dock-plus')),
      resources: readdirSync(join(packed, 'resources')).sort(),
      ...(await askHost(extracted, join(dir, 'home'))),
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

async function askHost(
  extracted: string,
  home: string,
): Promise<Pick<PackingProof, 'host' | 'page' | 'exitCode'>> {
  const env = {
    ...process.env,
    WDOCK_HOME: home,
    WDOCK_NAME: 'Packed',
    WDOCK_PORT: '0',
    WDOCK_DISCOVERY: 'off',
  }
  const child = spawn(process.execPath, [join(extracted, 'dist/headless.mjs'), '--json'], {
    cwd: extracted,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise<number | null>((done) => child.once('exit', done))
  try {
    await readyLine(child.stdout)
    const { client, host, close } = await connectToHost(env)
    const { info, settings } = await client.state.get()
    await close()
    const response = await fetch(host.url)
    const page = { status: response.status, type: response.headers.get('content-type') }
    await response.arrayBuffer()
    child.kill('SIGTERM')
    const exitCode = await exited
    return { host: { appVersion: info.appVersion, dockName: settings.dockName }, page, exitCode }
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL')
    await exited
    // Where the sockets are when the folder's path is long.
    rmSync(choosePaths(env).runtime, { recursive: true, force: true })
  }
}

function readyLine(stdout: NodeJS.ReadableStream): Promise<string> {
  return new Promise((done, reject) => {
    const timer = setTimeout(() => reject(new Error('the packed host did not get ready')), readyTimeoutMs)
    const lines = createInterface({ input: stdout })
    lines.once('line', (line) => {
      clearTimeout(timer)
      done(line)
    })
    lines.once('close', () => reject(new Error('the packed host ended before it was ready')))
  })
}

if (import.meta.main) {
  process.stdout.write(`${JSON.stringify(await provePacking(), null, 2)}\n`)
}
