/** `wdock`, the command line of Wireless Dock+: everything a person can do, and `--json` for scripts. */
import { appVersion } from '../installation.ts'
import { runWdock } from './run.ts'
import { terminalIo } from './terminal.ts'

// Reading ends early, as by `wdock watch | head`: nothing is left to say.
process.stdout.on('error', () => process.exit(0))
process.exitCode = await runWdock(process.argv.slice(2), terminalIo(), appVersion)
