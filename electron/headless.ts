/**
 * The host as a program of its own, without Electron.
 *
 *   node dist/headless.mjs [--open] [--json]
 *
 * `--open` opens the page in Chromium, `--json` prints the ready line as one JSON object:
 * `{ready, url, pageUrl, token, pid, dataDir}`, or `{error}` when the host can't start.
 */
import { toWdockError } from '../shared/errors/index.ts'
import { runAgent } from './agent.ts'

const json = process.argv.includes('--json')
try {
  process.exitCode = await runAgent({
    env: process.env,
    window: process.argv.includes('--open') ? 'apart' : 'none',
    json,
  })
} catch (thrown) {
  const error = toWdockError(thrown)
  if (json) process.stdout.write(`${JSON.stringify({ error: error.toJSON() })}\n`)
  else process.stderr.write(`${[error.message, error.fix, error.detail ?? ''].join('\n').trim()}\n`)
  process.exitCode = 1
}
