import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { childrenOf, highWater, ResidentWatch } from './resident.ts'

describe('memory of a program', () => {
  it('is what it held at most, in bytes, and nothing once it is gone', () => {
    expect(highWater(process.pid)?.bytes).toBeGreaterThan(10e6)
    expect(highWater(2 ** 22)).toBeNull()
  })

  it('has that of its helpers beside it', async () => {
    const helper = spawn('sleep', ['30'], { stdio: 'ignore' })
    try {
      await once(helper, 'spawn')
      expect(childrenOf(process.pid)).toContain(helper.pid)
      const [peak] = new ResidentWatch([{ name: 'this', pid: process.pid }]).end()
      expect(peak?.name).toBe('this')
      expect(peak?.hostBytes).toBeGreaterThan(10e6)
      expect(peak?.helperBytes).toBeGreaterThan(0)
    } finally {
      helper.kill()
    }
  })
})
