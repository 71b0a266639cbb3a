/** `wdock guest create`: flags into a new guest. */
import { resolve } from 'node:path'
import { formatMemory } from '../../../shared/format.ts'
import type { GuestSource } from '../../../shared/models/guest.ts'
import { type Call, type Command, type Outcome, usage } from '../command.ts'
import { follow } from '../follow.ts'
import { parseCount, parseSize } from '../sizes.ts'
import { printable } from '../table.ts'

const self = { name: 'guest create' }

function textFlag(call: Call, name: string): string | null {
  const value = call.flags[name]
  return typeof value === 'string' ? value : null
}

function pathFlag(call: Call, name: string): string | null {
  const value = textFlag(call, name)
  return value === null ? null : resolve(value)
}

/** What the guest starts from: exactly one kind, with nothing that belongs to another. */
function sourceOf(call: Call): GuestSource {
  const kinds = ['demo', 'iso', 'kernel'].filter((name) => call.flags[name] !== undefined)
  const diskPath = pathFlag(call, 'disk')
  const kind = kinds[0] ?? (diskPath === null ? null : 'disk')
  if (kinds.length > 1) throw usage(self, `--${kinds[0]} and --${kinds[1]} exclude each other`)
  if (kind === null) throw usage(self, 'one of --demo, --disk, --iso or --kernel is needed')
  refuseForeign(call, kind)
  if (kind === 'demo') return { kind }
  if (kind === 'disk') return { kind, path: diskPath ?? '' }
  if (kind === 'iso') {
    const size = textFlag(call, 'disk-size') ?? '20G'
    return { kind, path: pathFlag(call, 'iso') ?? '', diskBytes: parseSize(size, '--disk-size', self.name) }
  }
  return {
    kind: 'kernel',
    kernelPath: pathFlag(call, 'kernel') ?? '',
    initrdPath: pathFlag(call, 'initrd'),
    commandLine: textFlag(call, 'append') ?? '',
    diskPath,
  }
}

const belongsTo: Readonly<Record<string, readonly string[]>> = {
  disk: ['disk', 'kernel'],
  'disk-size': ['iso'],
  initrd: ['kernel'],
  append: ['kernel'],
}

function refuseForeign(call: Call, kind: string): void {
  for (const [name, kinds] of Object.entries(belongsTo)) {
    if (call.flags[name] !== undefined && !kinds.includes(kind)) {
      throw usage(self, `--${name} does not go with --${kind}`)
    }
  }
}

async function create(call: Call): Promise<Outcome> {
  const network = textFlag(call, 'network') ?? 'user'
  if (network !== 'user' && network !== 'none') throw usage(self, '--network must be user or none')
  const guest = {
    name: call.args.name ?? '',
    source: sourceOf(call),
    cores: parseCount(textFlag(call, 'cores') ?? '1', '--cores', self.name),
    memoryBytes: parseSize(textFlag(call, 'memory') ?? '512M', '--memory', self.name),
    network,
  } as const
  const client = await call.host()
  const { guestId, operationId } = await client.guests.create(guest)
  if (operationId !== null && call.flags['no-wait'] !== true) await follow(client, operationId, call.io)
  const size = `${guest.cores} ${guest.cores === 1 ? 'core' : 'cores'}, ${formatMemory(guest.memoryBytes)}`
  const name = printable(guest.name.trim())
  return {
    value: { guestId, operationId },
    text: `${name} is created (${size}). Start it with: wdock guest start ${guestId.slice(0, 8)}`,
  }
}

export const createCommand: Command = {
  name: 'guest create',
  args: ['name'],
  says: 'make a new guest',
  flags: {
    demo: { says: 'from the demo guest that comes with Wireless Dock+' },
    disk: { value: 'file', says: 'from a copy of a qcow2 or raw disk (with --kernel: its disk)' },
    iso: { value: 'file', says: 'from an installation image, with a fresh disk' },
    'disk-size': { value: 'size', says: 'size of the fresh disk; 20G unless told' },
    kernel: { value: 'file', says: 'from a Linux kernel' },
    initrd: { value: 'file', says: 'initrd of the kernel' },
    append: { value: 'text', says: 'command line of the kernel' },
    cores: { value: 'n', says: 'cores; 1 unless told' },
    memory: { value: 'size', says: 'memory; 512M unless told' },
    network: { value: 'user|none', says: 'network; user unless told' },
    'no-wait': { says: 'return at once; follow it with wdock status' },
  },
  run: create,
}
