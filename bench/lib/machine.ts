/** On what something was measured. */
import { execFile } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { promisify } from 'node:util'
import type { BenchMachine } from './report.ts'

const run = promisify(execFile)

export async function describeMachine(): Promise<BenchMachine> {
  const [first] = cpus()
  return {
    cpu: first?.model.trim() || 'unknown processor',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    qemu: await firstMatch('qemu-system-x86_64', ['--version'], /version (\S+)/),
    node: process.versions.node,
  }
}

/** The commit under measurement, with `+` when files differ from it; null outside a checkout. */
export async function currentCommit(): Promise<string | null> {
  const commit = await firstMatch('git', ['rev-parse', '--short', 'HEAD'], /(\S+)/)
  const changed = await firstMatch('git', ['status', '--porcelain', '--untracked-files=no'], /(\S)/)
  return commit === null ? null : `${commit}${changed === null ? '' : '+'}`
}

async function firstMatch(program: string, args: readonly string[], pattern: RegExp): Promise<string | null> {
  const { stdout } = await run(program, args, { cwd: import.meta.dirname }).catch(() => ({ stdout: '' }))
  return pattern.exec(stdout)?.[1] ?? null
}
