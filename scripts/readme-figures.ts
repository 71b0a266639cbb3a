/**
 * Puts the figures of the last full measurements into README.md: `node scripts/readme-figures.ts [--check]`.
 * What stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` becomes the table of
 * bench/results/NAME.json, or what is said of that name below. What was never measured stays as it is. Promises that a
 * second run changes nothing; `--check` changes nothing at all and ends with 1 where the README says something else
 * than the results.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { benchReport, markdownCells, markdownTable, provenance } from '../bench/lib/report.ts'
import { figureCells, figureNote, figureRuns, linksReport } from '../bench/links/figure.ts'
import { marked, namesIn } from './lib/marked-text.ts'

const root = join(import.meta.dirname, '..')
const readme = join(root, 'README.md')

interface Shown {
  /** In bench/results, without `.json`. */
  file: string
  textOf(kept: unknown): string
}

const pictures = {
  downtime:
    '![For how long a guest stands still while its state is kept: milliseconds with our checkpoints, minutes with stop and copy](docs/checkpoint-downtime.svg)',
  links:
    '![How long a guest takes to another PC: the paper, QEMU in two ways, and ours on a first visit and back](bench/results/links.svg)',
} as const

/** Other than the table of the file of that name. */
const others: Readonly<Record<string, Shown>> = {
  'vault-figures': { file: 'vault-figures', textOf: () => pictures.downtime },
  'links-figure': {
    file: 'links',
    textOf: (kept) => {
      const report = linksReport.parse(kept)
      const { figure } = report
      const note = `${figureNote} ${figureRuns(figure)} ${provenance(report)}`
      return [pictures.links, markdownCells(figureCells(figure)), note].join('\n\n')
    },
  },
}

/** Null while no results are kept. */
async function textOf(name: string): Promise<string | null> {
  const shown = others[name] ?? { file: name, textOf: (kept) => markdownTable(benchReport.parse(kept)) }
  const text = await readFile(join(root, 'bench', 'results', `${shown.file}.json`), 'utf8').catch(ifMissing)
  return text === null ? null : shown.textOf(JSON.parse(text))
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
