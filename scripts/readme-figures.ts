/**
 * Puts the figures of the last full measurements into README.md: `node scripts/readme-figures.ts [--check]`.
 * What stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` becomes the table of
 * bench/results/NAME.json. Promises that a second run changes nothing; `--check` changes nothing at all and ends
 * with 1 where the README says something else than the results.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { benchReport, markdownTable } from '../bench/lib/report.ts'
import { marked, namesIn } from './lib/marked-text.ts'

const root = join(import.meta.dirname, '..')
const readme = join(root, 'README.md')

async function tableOf(name: string): Promise<string> {
  const text = await readFile(join(root, 'bench', 'results', `${name}.json`), 'utf8')
  return markdownTable(benchReport.parse(JSON.parse(text)))
}

async function main(check: boolean): Promise<number> {
  const old = await readFile(readme, 'utf8')
  let fresh = old
  for (const name of namesIn(old)) fresh = marked(fresh, name, await tableOf(name))
  if (fresh === old) return 0
  if (check) {
    process.stderr.write('README.md shows other figures than bench/results: node scripts/readme-figures.ts\n')
    return 1
  }
  await writeFile(readme, fresh)
  return 0
}

process.exitCode = await main(process.argv.includes('--check'))
