/**
 * A host as `headless.ts` starts it, but for places at which a move can be held: while the file `hold-POINT` lies in
 * WDOCK_HOME, a move that comes to POINT writes `held-POINT` and waits there. For tests only.
 */
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { toWdockError } from '../../shared/errors/index.ts'
import { runAgent } from '../agent.ts'

const home = process.env.WDOCK_HOME ?? ''

async function at(point: string): Promise<void> {
  const hold = join(home, `hold-${point}`)
  if (!existsSync(hold)) return
  const held = join(home, `held-${point}`)
  await writeFile(held, '')
  while (existsSync(hold)) await wait(3, undefined, { ref: false })
  await rm(held, { force: true })
}

try {
  process.exitCode = await runAgent({
    env: process.env,
    window: 'none',
    json: true,
    faults: { at },
  })
} catch (thrown) {
  process.stdout.write(`${JSON.stringify({ error: toWdockError(thrown).toJSON() })}\n`)
  process.exitCode = 1
}
