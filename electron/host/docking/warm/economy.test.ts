import { expect, it } from 'vitest'
import type { Clock } from '../../../platform/clock.ts'
import { Economy, saysMetered } from './economy.ts'

function clockAt(now: { ms: number }): Clock {
  return { nowMs: () => now.ms, monotonicMs: () => now.ms, sleep: async () => undefined }
}

it('says why work that nobody waits for rests: the battery first', async () => {
  const now = { ms: 0 }
  const is = { battery: true, metered: true }
  const economy = new Economy({
    clock: clockAt(now),
    onBattery: async () => is.battery,
    isMetered: async () => is.metered,
  })
  expect(await economy.reason('Laptop')).toMatchObject({ code: 'warm.on_battery' })
  is.battery = false
  expect(await economy.reason('Laptop')).toMatchObject({ code: 'warm.on_battery' })
  now.ms = 30_000
  expect((await economy.reason('Laptop'))?.message).toBe('The network connection of Laptop is metered.')
  is.metered = false
  now.ms = 60_000
  expect(await economy.reason('Laptop')).toBeNull()
})

it('takes a connection for metered where NetworkManager says so or guesses it', () => {
  const answers = [0, 1, 2, 3, 4].map((value) => saysMetered(`(<uint32 ${value}>,)\n`))
  expect(answers).toEqual([false, true, false, true, false])
  expect(saysMetered('Error: GDBus.Error:org.freedesktop.DBus.Error.ServiceUnknown')).toBe(false)
})
