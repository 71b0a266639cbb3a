/**
 * Where things are kept, after the XDG base directory specification. Promises four folders that exist, belong
 * to this user and are closed to others, and a runtime folder short enough for unix sockets inside it.
 */
import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { fail } from '../../shared/errors/index.ts'
import { fsFailure } from './atomic-file.ts'

export interface Paths {
  /** Guests, layers, identity: what must survive. */
  data: string
  /** Settings. */
  config: string
  /** What can be made again. */
  cache: string
  /** Sockets and locks of this boot; 0700. */
  runtime: string
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The longest runtime path, in bytes. A unix socket's path ends at 107 bytes on Linux (`sun_path`); this leaves
 * 60 bytes for `/guests/<uuid>/<name>.sock` below 100.
 */
const maxRuntimeBytes = 40
const folderName = 'wireless-dock'

/**
 * The four folders, created where missing. `WDOCK_HOME` puts all of them under one folder.
 * @throws host.no_permission, host.unsafe_folder, host.disk_full
 */
export function resolvePaths(env: Environment): Paths {
  const paths = choosePaths(env)
  for (const path of [paths.data, paths.config, paths.cache]) makeFolder(path)
  makePrivateFolder(paths.runtime)
  return paths
}

/** The pure part of `resolvePaths`: nothing is created or checked. */
export function choosePaths(env: Environment): Paths {
  const home = env.HOME || homedir()
  const own = env.WDOCK_HOME
  if (own) {
    const root = resolve(own)
    return {
      data: join(root, 'data'),
      config: join(root, 'config'),
      cache: join(root, 'cache'),
      runtime: shortRuntime(join(root, 'run'), env),
    }
  }
  const data = join(xdg(env, 'XDG_DATA_HOME') ?? join(home, '.local/share'), folderName)
  const runtimeRoot = xdg(env, 'XDG_RUNTIME_DIR')
  return {
    data,
    config: join(xdg(env, 'XDG_CONFIG_HOME') ?? join(home, '.config'), folderName),
    cache: join(xdg(env, 'XDG_CACHE_HOME') ?? join(home, '.cache'), folderName),
    runtime: runtimeRoot ? shortRuntime(join(runtimeRoot, folderName), env) : fallbackRuntime(data, env),
  }
}

/** The specification says: a relative path in these variables is to be ignored. */
function xdg(env: Environment, name: string): string | null {
  const value = env[name]
  return value && isAbsolute(value) ? value : null
}

function shortRuntime(wanted: string, env: Environment): string {
  return Buffer.byteLength(wanted) <= maxRuntimeBytes ? wanted : fallbackRuntime(wanted, env)
}

/** A short folder named by the hash of the wanted one, so that every start finds the same. */
function fallbackRuntime(wanted: string, env: Environment): string {
  const name = `wd-${userId()}-${createHash('sha256').update(wanted).digest('hex').slice(0, 12)}`
  const roots = [xdg(env, 'XDG_RUNTIME_DIR'), tmpdir(), '/tmp']
  const fitting = roots.find((root) => root && Buffer.byteLength(join(root, name)) <= maxRuntimeBytes)
  return join(fitting ?? '/tmp', name)
}

function userId(): number {
  return process.getuid?.() ?? 0
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw fsFailure(error, path)
  }
}

/** A folder of somebody else, or a link to one, would let them stand in for QEMU's sockets: refused. */
function makePrivateFolder(path: string): void {
  makeFolder(path)
  const stat = lstatSync(path)
  if (!stat.isDirectory() || stat.uid !== userId()) throw fail('host.unsafe_folder', { path })
  if ((stat.mode & 0o777) !== 0o700) chmodSync(path, 0o700)
}
