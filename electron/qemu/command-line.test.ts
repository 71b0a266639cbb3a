import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type GuestDefinition, gibibyteBytes, mebibyteBytes } from '../../shared/models/guest-definition.ts'
import { buildCommandLine, growableBytes, type LaunchSpec, optionValue } from './command-line.ts'
import { testDefinition, testSpec } from './test-guests.ts'

const base = `l${'a'.repeat(32)}`
const middle = `l${'b'.repeat(32)}`
const top = `l${'c'.repeat(32)}`

function specWithDisk(changes: Partial<GuestDefinition> = {}, spec: Partial<LaunchSpec> = {}): LaunchSpec {
  const disks = [{ nodeName: 'disk0', layers: [base, middle], top, virtualSizeBytes: gibibyteBytes }]
  return testSpec('/run/wd/g1', {
    definition: testDefinition({ disks, ...changes }),
    disks: [{ nodeName: 'disk0', topPath: '/d/top.qcow2', layerPaths: ['/d/base.qcow2', '/d/middle.qcow2'] }],
    ...spec,
  })
}

/** The values that follow an option. */
function valuesOf(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, index) => (arg === option ? [args[index + 1] ?? ''] : []))
}

describe('the command line', () => {
  it('is this', () => {
    expect(buildCommandLine(specWithDisk({ witness: true }))).toMatchSnapshot()
  })

  it('adds a port for an agent behind everything that guests without one have', () => {
    const without = buildCommandLine(specWithDisk())
    const args = buildCommandLine(specWithDisk({ agent: true }))
    const devices = valuesOf(args, '-device')
    const before = valuesOf(without, '-device')
    expect(devices.slice(0, before.length)).toEqual(before)
    expect(devices.slice(before.length)).toEqual([
      '{"driver":"virtio-serial-pci","id":"ports0","max_ports":2}',
      '{"driver":"virtserialport","id":"agent0","bus":"ports0.0","chardev":"agent","name":"org.qemu.guest_agent.0"}',
    ])
    expect(args).toContain('socket,id=agent,path=/run/wd/g1/agent.sock,server=on,wait=off')
  })

  it('opens the layers below the top for reading only, each by its own path', () => {
    const chain = JSON.parse(valuesOf(buildCommandLine(specWithDisk()), '-blockdev')[0] ?? '')
    expect(chain).toMatchObject({
      'node-name': 'disk0',
      'read-only': false,
      file: { filename: '/d/top.qcow2' },
    })
    expect(chain.backing).toMatchObject({
      'read-only': true,
      file: { filename: '/d/middle.qcow2', 'read-only': true },
    })
    expect(chain.backing.backing).toMatchObject({ 'read-only': true, file: { filename: '/d/base.qcow2' } })
    expect(chain.backing.backing.backing).toBeNull()
  })

  it('is the same on both sides of a migration but for -incoming and the paths', () => {
    const here = buildCommandLine(specWithDisk())
    const there = buildCommandLine(specWithDisk({}, { incoming: true }))
    expect(there.filter((arg) => !here.includes(arg))).toEqual(['-incoming', 'defer'])
  })

  it('never lets anything of QEMU listen on the network', () => {
    const args = buildCommandLine(specWithDisk({ witness: true }, { incoming: true }))
    expect(args.join('\n')).not.toMatch(/tcp:|udp:|telnet:|hostfwd|guestfwd|"port"|websocket/)
    expect(valuesOf(args, '-vnc')).toEqual([expect.stringMatching(/^unix:/)])
    for (const chardev of valuesOf(args, '-chardev')) expect(chardev).toMatch(/^ringbuf,|^socket,.*path=\//)
  })

  it('has no growing memory device where there is no headroom to use', () => {
    const definition = testDefinition({
      memoryBytes: 256 * mebibyteBytes,
      maxMemoryBytes: 300 * mebibyteBytes,
    })
    expect(growableBytes(definition)).toBe(0)
    expect(buildCommandLine(testSpec('/r', { definition })).join(' ')).not.toContain('virtio-mem')
    expect(
      growableBytes(testDefinition({ memoryBytes: 256 * mebibyteBytes, maxMemoryBytes: gibibyteBytes })),
    ).toBe(768 * mebibyteBytes)
  })

  it('gives an emulated guest a memory whose dirty pages old QEMUs collect one by one', () => {
    const blockBytes = 64 * 4096
    const sizeOf = (accelerator: 'kvm' | 'tcg'): number => {
      const args = buildCommandLine(testSpec('/r', { accelerator }))
      const backend = JSON.parse(valuesOf(args, '-object').find((value) => value.includes('ram0')) ?? '')
      expect(valuesOf(args, '-m')[0]).toContain(`size=${backend.size / 1024}K,`)
      return backend.size
    }
    expect(sizeOf('tcg') % blockBytes).toBeGreaterThan(0)
    expect(sizeOf('kvm')).toBe(testDefinition().memoryBytes)
  })

  it('boots an ISO before the disk and hands a kernel over as it is', () => {
    const iso = buildCommandLine(
      specWithDisk(
        { boot: { kind: 'iso', imageFile: '0'.repeat(64) } },
        { bootFiles: { kind: 'iso', imagePath: '/i,so' } },
      ),
    )
    const devices = valuesOf(iso, '-device').map((text) => JSON.parse(text))
    expect(devices.find((device) => device.driver === 'ide-cd')).toMatchObject({ bootindex: 0 })
    expect(devices.find((device) => device.driver === 'virtio-blk-pci')).toMatchObject({ bootindex: 1 })
    const boot = {
      kind: 'kernel',
      kernelFile: '0'.repeat(64),
      initrdFile: null,
      commandLine: 'a=1,b "c"',
    } as const
    const kernel = buildCommandLine(
      specWithDisk({ boot }, { bootFiles: { kind: 'kernel', kernelPath: '/k', initrdPath: null } }),
    )
    expect(valuesOf(kernel, '-append')).toEqual(['a=1,b "c"'])
    expect(valuesOf(kernel, '-initrd')).toEqual([])
  })
})

describe('what a launch adds to a definition', () => {
  it('names added cores as the migrated guest has them', () => {
    const pluggedCores = [{ type: 'Westmere-x86_64-cpu', id: 'core1', props: { 'core-id': 1 } }]
    const args = buildCommandLine(specWithDisk({}, { pluggedCores }))
    expect(valuesOf(args, '-device').at(-1)).toBe('{"driver":"Westmere-x86_64-cpu","id":"core1","core-id":1}')
  })

  it('refuses a spec that does not belong to its definition', () => {
    expect(() => buildCommandLine({ ...specWithDisk(), disks: [] })).toThrow(
      expect.objectContaining({ code: 'host.bad_input' }),
    )
    const bootFiles = { kind: 'iso', imagePath: '/i' } as const
    expect(() => buildCommandLine(specWithDisk({}, { bootFiles }))).toThrow(
      expect.objectContaining({ code: 'host.bad_input' }),
    )
  })
})

/** How QEMU splits an option: at single commas, doubled ones standing for one (util/qemu-option.c). */
function splitOption(text: string): string[] {
  return text
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','))
}

describe('a name', () => {
  const name = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 30 })
    .map((text) => text.replaceAll('\0', ''))

  it('cannot become an option, whatever it holds', () => {
    fc.assert(
      fc.property(name, (text) => {
        const definition = { ...testDefinition(), name: text }
        const args = buildCommandLine(testSpec('/r', { definition }))
        expect(splitOption(valuesOf(args, '-name')[0] ?? '')).toEqual([`guest=${text}`, 'debug-threads=on'])
        expect(args).toHaveLength(buildCommandLine(testSpec('/r')).length)
      }),
    )
  })

  it('of a folder cannot become an option either', () => {
    fc.assert(
      fc.property(name, (text) => {
        const args = buildCommandLine(testSpec(`/r/${text.replaceAll('/', '')}x`))
        for (const chardev of valuesOf(args, '-chardev'))
          expect(splitOption(chardev).length).toBeLessThanOrEqual(5)
        expect(splitOption(valuesOf(args, '-vnc')[0] ?? '')).toHaveLength(2)
      }),
    )
    expect(() => optionValue('a\0b')).toThrow()
  })
})
