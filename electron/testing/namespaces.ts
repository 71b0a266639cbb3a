/**
 * Two PCs on one machine: a pair of network namespaces joined by a link that can be shaped and cut. For tests and
 * measurements only. Promises that nothing is left of them after `destroy`. Needs root; `namespacesAllowed` tells.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Namespace {
  /** Give it to `ip netns exec`. */
  name: string
  device: string
  address: string
}

export interface NamespacePair {
  id: string
  a: Namespace
  b: Namespace
  /** Shapes both directions with a token bucket; null takes the shape away. @param bitsPerSecond of payload and headers */
  shape(bitsPerSecond: number | null): Promise<void>
  /** Pulls the cable. */
  cut(): Promise<void>
  /** Plugs it in again. */
  mend(): Promise<void>
  /** Bytes sent by each end so far. */
  sentBytes(): Promise<{ a: number; b: number }>
  destroy(): Promise<void>
}

/** Whether this user may make network namespaces here. */
export async function namespacesAllowed(): Promise<boolean> {
  const name = `wdock-try-${randomBytes(3).toString('hex')}`
  return await ip('netns', 'add', name).then(
    async () => {
      await ip('netns', 'delete', name)
      return true
    },
    () => false,
  )
}

export async function createNamespacePair(): Promise<NamespacePair> {
  const pair = attachNamespacePair(randomBytes(3).toString('hex'))
  const { a, b } = pair
  try {
    for (const { name } of [a, b]) await ip('netns', 'add', name)
    await ip(
      'link',
      'add',
      a.device,
      'netns',
      a.name,
      'type',
      'veth',
      'peer',
      'name',
      b.device,
      'netns',
      b.name,
    )
    for (const { name, device, address } of [a, b]) {
      await inside(name, 'ip', 'link', 'set', 'lo', 'up')
      await inside(name, 'ip', 'address', 'add', `${address}/24`, 'dev', device)
      await inside(name, 'ip', 'link', 'set', device, 'up')
      await inside(name, 'ip', 'route', 'add', '224.0.0.0/4', 'dev', device)
    }
    return pair
  } catch (error) {
    await pair.destroy()
    throw error
  }
}

/** A pair that another process created. @param id of six hexadecimal digits */
export function attachNamespacePair(id: string): NamespacePair {
  const a = { name: `wdock-a-${id}`, device: `wda${id}`, address: '10.78.0.1' }
  const b = { name: `wdock-b-${id}`, device: `wdb${id}`, address: '10.78.0.2' }
  return {
    id,
    a,
    b,
    destroy: async () => {
      for (const { name } of [a, b]) await ip('netns', 'delete', name).catch(() => undefined)
    },
    shape: async (bitsPerSecond) => {
      for (const end of [a, b]) await shapeEnd(end, bitsPerSecond)
    },
    cut: () => inside(a.name, 'ip', 'link', 'set', a.device, 'down'),
    mend: async () => {
      await inside(a.name, 'ip', 'link', 'set', a.device, 'up')
      await inside(a.name, 'ip', 'route', 'replace', '224.0.0.0/4', 'dev', a.device)
    },
    sentBytes: async () => ({ a: await sentBytes(a), b: await sentBytes(b) }),
  }
}

/** The bucket holds 20 ms of the rate, so that the kernel's timer can serve a gigabit; the queue 50 ms. */
async function shapeEnd(end: Namespace, bitsPerSecond: number | null): Promise<void> {
  await inside(end.name, 'tc', 'qdisc', 'delete', 'dev', end.device, 'root').catch(() => undefined)
  if (bitsPerSecond === null) return
  const burstBytes = Math.max(16_384, Math.round(bitsPerSecond / 8 / 250))
  const tbf = ['rate', `${bitsPerSecond}bit`, 'burst', `${burstBytes}`, 'latency', '50ms']
  await inside(end.name, 'tc', 'qdisc', 'add', 'dev', end.device, 'root', 'tbf', ...tbf)
}

async function sentBytes({ name, device }: Namespace): Promise<number> {
  const { stdout } = await run('ip', [
    'netns',
    'exec',
    name,
    'cat',
    `/sys/class/net/${device}/statistics/tx_bytes`,
  ])
  return Number(stdout)
}

async function ip(...args: string[]): Promise<void> {
  await run('ip', args)
}

async function inside(name: string, ...command: string[]): Promise<void> {
  await run('ip', ['netns', 'exec', name, ...command])
}
