import { describe, expect, it } from 'vitest'
import { guestDefinition } from '../../shared/models/guest-definition.ts'
import { checkVersion, q35Types } from './capabilities.ts'
import { parseCpuFlags, pickCpuModel, tcgCpuModel } from './cpu-features.ts'
import { progressFrom } from './migration.ts'
import { buildProbeImage } from './probe-image.ts'
import { maxSocketDirBytes, socketPaths } from './sockets.ts'
import { testDefinition } from './test-guests.ts'

describe('a definition', () => {
  const good = testDefinition()
  const refuses = (changes: object): boolean => !guestDefinition.safeParse({ ...good, ...changes }).success

  it('is refused with unknown fields, aliases, absurd sizes or names that are none', () => {
    expect(guestDefinition.safeParse(good).success).toBe(true)
    expect(refuses({ extra: 1 })).toBe(true)
    expect(refuses({ version: 2 })).toBe(true)
    expect(refuses({ machine: 'q35' })).toBe(true)
    expect(refuses({ machine: 'pc-q35-7.2,accel=kvm' })).toBe(true)
    expect(refuses({ cpuModel: 'Westmere -incoming x' })).toBe(true)
    expect(refuses({ memoryBytes: 1 })).toBe(true)
    expect(refuses({ memoryBytes: good.maxMemoryBytes * 2 })).toBe(true)
    expect(refuses({ cores: 5 })).toBe(true)
    expect(refuses({ name: 'a\nb' })).toBe(true)
    expect(refuses({ name: '   ' })).toBe(true)
    expect(refuses({ macAddress: '01:00:5e:00:00:01' })).toBe(true)
  })

  it('is refused when a layer or boot file is a path, or a layer is used twice', () => {
    const disk = { nodeName: 'disk0', layers: [], top: `l${'0'.repeat(32)}`, virtualSizeBytes: 1024 }
    expect(refuses({ disks: [disk] })).toBe(false)
    expect(refuses({ disks: [{ ...disk, top: '../../etc/passwd' }] })).toBe(true)
    expect(refuses({ disks: [{ ...disk, layers: [disk.top] }] })).toBe(true)
    expect(refuses({ disks: [disk, disk] })).toBe(true)
    expect(refuses({ boot: { kind: 'iso', imageFile: '../x' } })).toBe(true)
  })
})

describe('what QEMU can do', () => {
  it('lists versioned q35 types, newest first, and nothing else', () => {
    const names = [
      'pc-q35-9.2',
      'q35',
      'pc-q35-10.0',
      'pc-i440fx-9.2',
      'pc-q35-7.2',
      'pc-q35-4.0.1',
      'microvm',
    ]
    expect(q35Types(names)).toEqual(['pc-q35-10.0', 'pc-q35-9.2', 'pc-q35-7.2'])
  })

  it('refuses a QEMU that is too old', () => {
    for (const [major, minor] of [
      [7, 1],
      [6, 9],
    ] as const) {
      expect(() => checkVersion({ major, minor, micro: 0 })).toThrow(
        expect.objectContaining({ code: 'qemu.too_old' }),
      )
    }
    for (const [major, minor] of [
      [7, 2],
      [10, 0],
    ] as const) {
      checkVersion({ major, minor, micro: 0 })
    }
  })

  it('reads the flags of a processor', () => {
    expect(parseCpuFlags('processor\t: 0\nflags\t\t: fpu vme  de\nbugs\t: x\n\nflags : other\n')).toEqual([
      'fpu',
      'vme',
      'de',
    ])
    expect(parseCpuFlags('')).toEqual([])
  })

  it('picks the newest named CPU model that is there', () => {
    expect(pickCpuModel(['qemu64', 'Westmere', 'Haswell-noTSX'])).toBe('Haswell-noTSX')
    expect(pickCpuModel(['EPYC', 'EPYC-Milan'])).toBe('EPYC-Milan')
    expect(pickCpuModel([])).toBe('qemu64')
    expect(pickCpuModel([tcgCpuModel])).toBe(tcgCpuModel)
  })

  it('picks a CPU model that other docks have too, and its own newest where they have none in common', () => {
    const here = ['Penryn', 'Westmere', 'EPYC']
    expect(
      pickCpuModel(here, [
        ['Westmere', 'Haswell'],
        ['Penryn', 'Westmere'],
      ]),
    ).toBe('Westmere')
    expect(pickCpuModel(here, [['Westmere'], ['Penryn']])).toBe('EPYC')
  })
})

describe('the probe image', () => {
  it('is a BIOS of 64 KiB whose reset vector jumps to its code', () => {
    const image = buildProbeImage()
    expect(image.length).toBe(65_536)
    expect([...image.subarray(65_520, 65_525)]).toEqual([0xea, 0x00, 0x00, 0x00, 0xf0])
  })
})

describe('migration status', () => {
  it('is "none" with zeros before the first one', () => {
    expect(progressFrom({})).toMatchObject({ status: 'none', ramTransferredBytes: 0, downtimeMs: null })
  })

  it('comes in bytes and bits a second', () => {
    const ram = {
      transferred: 10,
      remaining: 20,
      total: 30,
      duplicate: 4,
      'dirty-pages-rate': 100,
      mbps: 94.5,
      'dirty-sync-count': 3,
      'page-size': 4096,
    }
    const info = { status: 'active', ram, 'expected-downtime': 300, 'cpu-throttle-percentage': 20 }
    expect(progressFrom(info)).toMatchObject({
      status: 'active',
      ramRemainingBytes: 20,
      dirtyRateBytesPerSecond: 409_600,
      bandwidthBitsPerSecond: 94_500_000,
      throttlePercent: 20,
      expectedDowntimeMs: 300,
    })
  })

  it('of a kind nobody knows is refused', () => {
    expect(() => progressFrom({ status: 'teleporting' })).toThrow(
      expect.objectContaining({ code: 'qemu.bad_reply' }),
    )
  })
})

describe('socket paths', () => {
  it('fit a unix address in the longest folder that is allowed', () => {
    for (const path of Object.values(socketPaths(`/${'d'.repeat(maxSocketDirBytes - 1)}`))) {
      if (path.endsWith('.sock')) expect(Buffer.byteLength(path)).toBeLessThanOrEqual(107)
    }
  })
})
