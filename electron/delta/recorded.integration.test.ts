import { describe, it } from 'vitest'
import { hasDemoGuest } from '../qemu/test-guests.ts'
import { expectRebuilt } from './testing/recorded-suite.ts'

describe.skipIf(!hasDemoGuest)('a stream that QEMU wrote', () => {
  it.each([
    { memoryMebibytes: 256, cores: 1, hasDevices: false },
    { memoryMebibytes: 512, cores: 2, hasDevices: true },
    { memoryMebibytes: 2048, cores: 2, hasDevices: true },
  ])(
    'of $memoryMebibytes MiB and $cores cores is rebuilt byte for byte, and most of the next one is here',
    async (guest) => {
      await expectRebuilt({ binary: 'qemu-system-x86_64', ...guest })
    },
    180_000,
  )
})
