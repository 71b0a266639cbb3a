import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import playwright from '../../playwright.config.ts'
import { findElectron } from './electron-binary.ts'
import { endMarked, leftovers, markedProcesses } from './leftovers.mjs'
import { StageRunner } from './stage-runner.mjs'
import { outcomeOf, rounds, type Stage, stages } from './test-stages.mjs'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-run-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

const stage = (name: string): Stage => {
  const found = stages(folder).find((each) => each.name === name)
  if (found === undefined) throw new Error(`no stage ${name}`)
  return found
}

describe('the outcome of a test stage', () => {
  const none = { passed: 0, failed: 0, skipped: 0, failures: [], shaky: [] }
  const unnamed = (name: string) => [{ name, why: expect.stringContaining('see what it printed') }]

  it('is one check where the stage has no reporter', () => {
    expect(outcomeOf(stage('types'), true)).toEqual({ ...none, passed: 1 })
    expect(outcomeOf(stage('types'), false)).toEqual({ ...none, failed: 1, failures: unnamed('types') })
  })

  it('comes from the report of Vitest, with the tests and files that failed', async () => {
    const counts = { numPassedTests: 7, numFailedTests: 1, numPendingTests: 1, numTodoTests: 0 }
    const tests = [
      { status: 'passed', fullName: 'adds', failureMessages: [] },
      { status: 'passed', fullName: 'moves', failureMessages: ['too late'] },
      { status: 'failed', fullName: 'sums up', failureMessages: ['expected 3'] },
    ]
    const testResults = [
      { name: 'a.test.ts', status: 'failed', message: '', assertionResults: tests },
      { name: 'b.test.ts', status: 'failed', message: 'no such module', assertionResults: [] },
    ]
    await writeFile(join(folder, 'unit.json'), JSON.stringify({ ...counts, testResults }))
    expect(outcomeOf(stage('unit'), false)).toEqual({
      passed: 7,
      failed: 1,
      skipped: 1,
      failures: [
        { name: 'a.test.ts › sums up', why: 'expected 3' },
        { name: 'b.test.ts', why: 'no such module' },
      ],
      shaky: [{ name: 'a.test.ts › moves', why: 'too late' }],
    })
  })

  it('comes from the report of Playwright, where what passed at the second try passed', async () => {
    const stats = { expected: 4, unexpected: 0, flaky: 1, skipped: 0 }
    const report = join(folder, 'e2e-browser-move.json')
    await writeFile(report, JSON.stringify({ stats, suites: [] }))
    expect(outcomeOf(stage('e2e browser-move'), true)).toEqual({ ...none, passed: 5 })

    const errors = [{ message: 'timed out' }]
    const spec = { file: 'move.spec.ts', title: 'pairs', ok: false, tests: [{ results: [{ errors }] }] }
    const shaky = { ...spec, title: 'moves', ok: true }
    const suites = [{ specs: [], suites: [{ specs: [spec, shaky] }] }]
    await writeFile(report, JSON.stringify({ stats: { ...stats, unexpected: 1 }, suites }))
    expect(outcomeOf(stage('e2e browser-move'), false)).toMatchObject({
      failed: 1,
      failures: [{ name: 'move.spec.ts › pairs', why: 'timed out' }],
      shaky: [{ name: 'move.spec.ts › moves', why: 'timed out' }],
    })
  })

  it('has a failure when the runner failed though no test did, or left no readable report', async () => {
    expect(outcomeOf(stage('unit'), false)).toMatchObject({ failed: 1, failures: unnamed('unit') })
    const report = { numPassedTests: 7, numFailedTests: 0, numPendingTests: 0, testResults: [] }
    await writeFile(join(folder, 'unit.json'), JSON.stringify(report))
    expect(outcomeOf(stage('unit'), false)).toEqual({
      ...none,
      passed: 7,
      failed: 1,
      failures: unnamed('unit'),
    })
    await writeFile(join(folder, 'unit.json'), '{"numPassed')
    expect(outcomeOf(stage('unit'), true)).toMatchObject({ failed: 1, failures: unnamed('unit') })
  })
})

describe('the stages', () => {
  it('run every project of Playwright, and every flow', async () => {
    const electron = join(folder, 'electron')
    await writeFile(electron, '')
    vi.stubEnv('ELECTRON_OVERRIDE_DIST_PATH', folder)
    expect(stage('e2e electron').needs).toBe(electron)
    expect(findElectron()).toBe(electron)
    const names = stages(folder).map(({ name }) => name)
    const projects = new Set([...(playwright.projects ?? []).map(({ name }) => name), 'electron'])
    for (const project of projects) {
      expect(names.some((name) => name.startsWith(`e2e ${project}`))).toBe(true)
    }
    const ran = stages(folder).flatMap(({ command }) => command.filter((word) => word.startsWith('flows/')))
    const flows = (await readdir(join(import.meta.dirname, '../../e2e/flows'))).map(
      (name) => name.split('.')[0],
    )
    expect(new Set(ran)).toEqual(new Set(flows.map((flow) => `flows/${flow}`)))
  })

  it('stand in rounds: what is beside the same runs together, unit tests run alone', () => {
    const together = rounds(stages(folder)).map((round) => round.map(({ name }) => name))
    expect(together).toEqual([
      ['lint and layer rules', 'types', 'dead code'],
      ['unit'],
      [
        'integration',
        'integration-moves',
        'e2e electron-face',
        'integration-disks',
        'integration-vault',
        'e2e browser-move',
        'e2e stand-in-move',
        'e2e stand-in-checkpoints',
        'e2e browser-lending',
        'e2e electron',
      ],
    ])
    expect(rounds([])).toEqual([])
  })
})

describe('stages that run', () => {
  function runnerOf(lanes: number): { runner: StageRunner; told: string[] } {
    const told: string[] = []
    const runner = new StageRunner({
      programs: dirname(process.execPath),
      cwd: folder,
      env: process.env,
      folder,
      lanes,
      began: ({ name }) => told.push(`began ${name}`),
      print: (text) => told.push(text),
      ended: ({ name }, { ok }) => told.push(`ended ${name} ${ok ? 'well' : 'badly'}`),
    })
    return { runner, told }
  }

  const script = (name: string, code: string): Stage => ({
    name,
    command: [basename(process.execPath), '-e', `const fs = require('node:fs'); ${code}`],
  })

  /** Goes on when there is a file of that name. */
  const until = (file: string, then: string): string =>
    `const look = setInterval(() => { if (fs.existsSync('${file}')) { clearInterval(look); ${then} } }, 5)`

  it('side by side tell each in one piece, and in order, what they said by turns', async () => {
    const { runner, told } = runnerOf(2)
    const one = `console.log('one'); fs.writeFileSync('one', ''); ${until('two', "console.error('done')")}`
    const two = until('one', "console.log('two'); fs.writeFileSync('two', ''); process.exitCode = 1")
    await runner.run([script('first', one), script('second', two)])
    const first = ['began first', 'one\ndone\n', 'ended first well']
    const second = ['began second', 'two\n', 'ended second badly']
    expect([
      [...first, ...second],
      [...second, ...first],
    ]).toContainEqual(told)
    expect((await readdir(folder)).sort()).toEqual(['one', 'two'])
  })

  it('are never more at once than there are lanes', async () => {
    const { runner, told } = runnerOf(2)
    const counting = (file: string): string =>
      `fs.writeFileSync('at-work-${file}', '')
      setTimeout(() => {
        const atWork = fs.readdirSync('.').filter((name) => name.startsWith('at-work')).length
        fs.rmSync('at-work-${file}')
        process.exitCode = atWork > 2 ? 1 : 0
      }, 150)`
    await runner.run(['a', 'b', 'c'].map((name) => script(name, counting(name))))
    expect(told.filter((line) => line.startsWith('ended')).sort()).toEqual([
      'ended a well',
      'ended b well',
      'ended c well',
    ])
  })

  it('all end when they are interrupted, and none begins after that', async () => {
    const { runner, told } = runnerOf(2)
    const long = (file: string): string => `fs.writeFileSync('${file}', ''); setTimeout(() => {}, 30_000)`
    const over = runner.run([script('a', long('a')), script('b', long('b')), script('c', long('c'))])
    while (!existsSync(join(folder, 'a')) || !existsSync(join(folder, 'b'))) await wait(5)
    runner.interrupt('SIGTERM')
    await over
    await runner.run([script('d', long('d'))])
    expect(told.filter((line) => line.startsWith('ended')).sort()).toEqual(['ended a badly', 'ended b badly'])
    expect((await readdir(folder)).sort()).toEqual(['a', 'b'])
    expect(runner.interrupted).toBe(true)
  })

  it('name a program that is missing, and fail', async () => {
    const { runner, told } = runnerOf(2)
    const command = ['wdock-no-such-program']
    await runner.run([
      { name: 'one', command },
      { name: 'other', command },
    ])
    expect(told[1]).toContain('ENOENT')
    expect(told.filter((line) => line.startsWith('ended')).sort()).toEqual([
      'ended one badly',
      'ended other badly',
    ])
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
