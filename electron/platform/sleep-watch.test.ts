/** With programs in the place of gdbus and systemd-inhibit: what they are given, and what becomes of them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { silentLog } from './log.ts'
import { SleepWatch } from './sleep-watch.ts'

let started: { program: string; child: ChildProcess }[] = []
let watch: SleepWatch | null = null

const of = (program: string) => started.filter((each) => each.program === program).map(({ child }) => child)
const isUp = (child: ChildProcess | undefined) => child?.exitCode === null && child.signalCode === null

/** `cat` says back what it is told, as the signals of the system's bus; and it ends with its input, as a lock does. */
function watching(beforeSleep: () => Promise<void>): SleepWatch {
  started = []
  const start = ((program: string, _args: readonly string[], options: object) => {
    const child = spawn('cat', [], options)
    started.push({ program, child })
    return child
  }) as typeof spawn
  watch = new SleepWatch({ beforeSleep, log: silentLog, start })
  return watch
}

function tell(isAboutToSleep: boolean): void {
  const line = `/org/freedesktop/login1: org.freedesktop.login1.Manager.PrepareForSleep (${isAboutToSleep},)\n`
  of('gdbus')[0]?.stdin?.write(line)
}

afterEach(() => {
  watch?.close()
  for (const { child } of started) child.kill('SIGKILL')
})

describe('a PC that is about to sleep', () => {
  it('waits until the work is done, and no longer', async () => {
    const work = Promise.withResolvers<void>()
    let asked = 0
    watching(() => {
      asked += 1
      return work.promise
    }).want(true)
    const [lock] = of('systemd-inhibit')
    tell(true)
    await expect.poll(() => asked).toBe(1)
    expect(isUp(lock)).toBe(true)
    work.resolve()
    if (lock && isUp(lock)) await once(lock, 'exit')
    expect(isUp(lock)).toBe(false)
  })

  it('waits the next time as well', async () => {
    watching(async () => {}).want(true)
    for (const time of [1, 2, 3]) {
      expect(of('systemd-inhibit')).toHaveLength(time)
      tell(true)
      await expect.poll(() => isUp(of('systemd-inhibit').at(-1))).toBe(false)
      tell(false)
      await expect.poll(() => of('systemd-inhibit').length).toBe(time + 1)
    }
  })

  it('does not wait for what nobody wants any more', async () => {
    const one = watching(async () => {})
    one.want(true)
    one.want(false)
    await expect.poll(() => started.some(({ child }) => isUp(child))).toBe(false)
    one.want(true)
    expect(of('systemd-inhibit')).toHaveLength(2)
  })
})

it('where the programs are missing nothing happens', async () => {
  const said: string[] = []
  const log = { ...silentLog, info: (text: string) => said.push(text) }
  const start = ((_program: string, args: readonly string[], options: object) =>
    spawn('/nowhere/at-all', args, options)) as typeof spawn
  watch = new SleepWatch({ beforeSleep: async () => {}, log, start })
  watch.want(true)
  await expect.poll(() => said.length).toBe(2)
  watch.close()
})
