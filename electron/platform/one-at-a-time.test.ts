import { setTimeout as wait } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { OneAtATime } from './one-at-a-time.ts'

it('does one thing after the other, and goes on after one that fails', async () => {
  const queue = new OneAtATime()
  const told: string[] = []
  const work = (name: string) => async () => {
    told.push(`${name} begins`)
    await wait(5)
    told.push(`${name} ends`)
    if (name === 'second') throw new Error('no')
    return name
  }
  const results = ['first', 'second', 'third'].map((name) => queue.run(work(name)))
  results[1]?.catch(() => undefined)
  await queue.idle()
  expect(told).toEqual(['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]))
  await expect(results[1]).rejects.toThrow('no')
  expect(await results[2]).toBe('third')
})
