/**
 * `npm run e2e:electron`: the Playwright flows in genuine Electron, where its binary is. Elsewhere it says
 * plainly that they did not run, and why; `--require` makes that a failure (exit 3). Other arguments go to
 * Playwright.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { findElectron } from './lib/electron-binary.ts'

const root = join(import.meta.dirname, '..')
const args = process.argv.slice(2)

function runFlows(): Promise<number> {
  const playwright = join(root, 'node_modules/@playwright/test/cli.js')
  const given = args.filter((argument) => argument !== '--require')
  const child = spawn(process.execPath, [playwright, 'test', '--project=electron', ...given], {
    cwd: root,
    stdio: 'inherit',
  })
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
}

if (findElectron() === null) {
  process.stdout.write(
    'The flows did NOT run in genuine Electron: its binary is not in node_modules/electron/dist.\nElectron fetches it at its first run from GitHub (npx install-electron), or set ELECTRON_OVERRIDE_DIST_PATH to a folder that has it.\nThe same flows run in the stand-in: npm run e2e -- --project=stand-in\n',
  )
  process.exitCode = args.includes('--require') ? 3 : 0
} else {
  process.exitCode = await runFlows()
}
