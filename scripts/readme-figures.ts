/**
 * Puts the figures of the last full measurements into README.md: `node scripts/readme-figures.ts [--check]`.
 * What stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` becomes the table of
 * bench/results/NAME.json, or its picture where it has one. What was never measured stays as it is. Promises that a
 * second run changes nothing; `--check` changes nothing at all and ends with 1 where the README says something else
 * than the results.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { benchReport, markdownTable } from '../bench/lib/report.ts'
import { marked, namesIn } from './lib/marked-text.ts'

const root = join(import.meta.dirname, '..')
const readme = join(root, 'README.md')

/** Instead of a table. */
const pictures: Readonly<Record<string, string>> = {
  'vault-figures':
    '![For how long a guest stands still while its state is kept: milliseconds with our checkpoints, minutes with stop and copy](docs/checkpoint-downtime.svg)',
}

/** Null while no results are kept. */
async function textOf(name: string): Promise<string | null> {
  const text = await readFile(join(root, 'bench', 'results', `${name}.json`), 'utf8').catch(ifMissing)
  if (text === null) return null
  return pictures[name] ?? markdownTable(benchReport.parse(JSON.parse(text)))
}

function ifMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}

async function main(check: boolean): Promise<number> {
  const old = await readFile(readme, 'utf8')
  let fresh = old
  for (const name of namesIn(old)) {
    const text = await textOf(name)
    if (text !== null) fresh = marked(fresh, name, text)
  }
  if (fresh === old) return 0
  if (check) {
    process.stderr.write('README.md shows other figures than bench/results: node scripts/readme-figures.ts\n')
    return 1
  }
  await writeFile(readme, fresh)
  return 0
}

process.exitCode = await main(process.argv.includes('--check'))
