import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endMarked, leftovers, markedProcesses } from './leftovers.mjs'
import { countOf, type Stage, stages } from './test-stages.mjs'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-run-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const stage = (name: string): Stage => {
  const found = stages(folder).find((each) => each.name === name)
  if (found === undefined) throw new Error(`no stage ${name}`)
  return found
}

describe('the count of a test stage', () => {
  it('is one check where the stage has no reporter', () => {
    expect(countOf(stage('types'), true)).toEqual({ passed: 1, failed: 0, skipped: 0 })
    expect(countOf(stage('types'), false)).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })

  it('comes from the report of the runner', async () => {
    const report = { numPassedTests: 7, numFailedTests: 2, numPendingTests: 1, numTodoTests: 0 }
    await writeFile(join(folder, 'unit.json'), JSON.stringify(report))
    expect(countOf(stage('unit'), false)).toEqual({ passed: 7, failed: 2, skipped: 1 })
    const stats = { expected: 4, unexpected: 0, flaky: 1, skipped: 0 }
    await writeFile(join(folder, 'e2e.json'), JSON.stringify({ stats }))
    expect(countOf(stage('e2e'), true)).toEqual({ passed: 5, failed: 0, skipped: 0 })
  })

  it('has a failure when the runner failed though no test did, or left no readable report', async () => {
    expect(countOf(stage('unit'), false).failed).toBe(1)
    const report = { numPassedTests: 7, numFailedTests: 0, numPendingTests: 0 }
    await writeFile(join(folder, 'unit.json'), JSON.stringify(report))
    expect(countOf(stage('unit'), false)).toEqual({ passed: 7, failed: 1, skipped: 0 })
    await writeFile(join(folder, 'unit.json'), '{"numPassed')
    expect(countOf(stage('unit'), true)).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })
})

describe('the look at what was left behind', () => {
  it('finds a process by the marker it inherited, and can end it', async () => {
    const name = `WDOCK_LEFT_${process.pid}`
    const env = { ...process.env, [name]: 'x' }
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { env })
    await once(child, 'spawn')
    expect(markedProcesses(`${name}=x`).map((each) => each.pid)).toEqual([child.pid])
    expect(markedProcesses(`${name}=other`)).toEqual([])
    const ended = once(child, 'exit')
    endMarked(`${name}=x`)
    await ended
  })

  it('names files in the temporary folder, but not the caches of the tools', async () => {
    await writeFile(join(folder, 'wdock-forgotten'), '')
    await writeFile(join(folder, 'node-compile-cache'), '')
    const left = await leftovers({ marker: 'WDOCK_NOBODY=1', namespacesBefore: [], temporary: folder })
    expect(left.filter((line) => line.startsWith('file'))).toEqual([`file ${folder}/wdock-forgotten`])
  })
})
