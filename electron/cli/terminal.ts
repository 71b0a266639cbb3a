/** The real terminal, file system and host behind a run of `wdock`. */
import { createInterface } from 'node:readline/promises'
import { findWindowProgram } from '../installation.ts'
import { connectToHost } from '../ipc/connect.ts'
import { resolvePaths } from '../platform/paths.ts'
import { exitCodes, type HostPage, type Io } from './command.ts'

/** The world of this process. */
export function terminalIo(): Io {
  return {
    env: process.env,
    print: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
    ask,
    onInterrupt,
    connect: () => connectToHost(process.env),
    runAgent: async ({ openWindow, json }) => {
      // Loaded only here: every other command starts without the host's code.
      const { runAgent } = await import('../agent.ts')
      return runAgent({ env: process.env, window: openWindow ? 'apart' : 'none', json })
    },
    openWindow,
  }
}

/** In the installed program's own window, which finds the host by itself; in Chromium where there is none. */
async function openWindow({ url, token, view }: HostPage): Promise<void> {
  const browser = await import('../browser/open-window.ts')
  const { env } = process
  const program = findWindowProgram()
  if (program !== null) return await browser.openOwnWindow({ program, link: `wdock:${view}`, url, env })
  const fragment = view === '' ? `token=${token}` : `/${view}?token=${token}`
  const profileRoot = resolvePaths(env).config
  await browser.openWindow({ url: `${url}#${fragment}`, profileRoot, env, detached: true })
}

async function ask(question: string): Promise<string | null> {
  if (process.stdin.isTTY !== true) return null
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const closed = new Promise<null>((resolve) => lines.once('close', () => resolve(null)))
  try {
    // Ctrl-C and Ctrl-D at the question close it: the same as no.
    return await Promise.race([lines.question(question), closed.then(() => '')])
  } finally {
    lines.close()
  }
}

/** The first Ctrl-C is the listener's; the second ends the program as it would have without one. */
function onInterrupt(listener: () => void): () => void {
  let count = 0
  const interrupted = (): void => {
    count += 1
    if (count > 1) process.exit(exitCodes.cancelled)
    listener()
  }
  process.on('SIGINT', interrupted)
  return () => process.off('SIGINT', interrupted)
}
