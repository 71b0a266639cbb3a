import { join } from 'node:path'
import { describe, it } from 'vitest'
import { expectRebuilt } from './testing/recorded-suite.ts'

const newer = process.env.WDOCK_NEWER_QEMU

describe('a stream of a newer QEMU', () => {
  it.each([
    { memoryMebibytes: 256, cores: 1, hasDevices: false },
    { memoryMebibytes: 512, cores: 2, hasDevices: true },
  ])(
    'of $memoryMebibytes MiB and $cores cores is rebuilt byte for byte',
    async (guest) => {
      if (newer === undefined) throw new Error('WDOCK_NEWER_QEMU names the folder of a newer QEMU’s programs')
      await expectRebuilt({ binary: join(newer, 'qemu-system-x86_64'), ...guest })
    },
    180_000,
  )
})
