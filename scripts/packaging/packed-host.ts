/** A host started as an installed program starts it, and asked what it has. Promises that it is gone afterwards. */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { connectToHost } from '../../electron/ipc/connect.ts'
import { choosePaths } from '../../electron/platform/paths.ts'

const readyTimeoutMs = 20_000

export interface HostAnswers {
  appVersion: string
  dockName: string
  demoGuestAvailable: boolean
  /** The page that it served. */
  page: { status: number; type: string | null }
  /** Its exit code after SIGTERM. */
  exitCode: number | null
}

/** A dock of its own below `home`; no Node but the packed one is on its PATH. */
export function wdockEnvironment(home: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    WDOCK_HOME: home,
    WDOCK_NAME: 'Packed',
    WDOCK_PORT: '0',
    WDOCK_DISCOVERY: 'off',
  }
}

/** @param meanwhile what else to do while the host runs */
export async function askHost(
  [program = '', ...args]: readonly string[],
  home: string,
  meanwhile: (home: string) => Promise<void> = async () => {},
): Promise<HostAnswers> {
  const env = wdockEnvironment(home)
  const child = spawn(program, args, { cwd: '/', env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<number | null>((done) => child.once('exit', done))
  try {
    await readyLine(child.stdout)
    const { client, host, close } = await connectToHost(env)
    const { info, settings } = await client.state.get()
    await close()
    const response = await fetch(host.url)
    const page = { status: response.status, type: response.headers.get('content-type') }
    await response.arrayBuffer()
    await meanwhile(home)
    child.kill('SIGTERM')
    const exitCode = await exited
    const { appVersion, demoGuestAvailable } = info
    return { appVersion, dockName: settings.dockName, demoGuestAvailable, page, exitCode }
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
