import { createSocket } from 'node:dgram'
import type { NetworkInterfaceInfo } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { chooseInterfaces, discoveryFromEnvironment, isOnLink } from './interfaces.ts'
import { isOnline, TestDocks, until } from './testing/docks.ts'
import type { PeerInfo } from './types.ts'

const docks = new TestDocks()
afterEach(() => docks.dispose())

const onLoopback = { discovery: { interfaces: ['lo'] } }

describe('discovery', () => {
  it('finds a dock within two seconds, follows its name, and forgets it when it says goodbye', async () => {
    const a = await docks.open('Same name', onLoopback)
    const b = await docks.open('Same name', onLoopback)
    const seen = (): PeerInfo[] => a.peers().filter(({ id }) => id === b.id)
    await until(() => seen().length === 1 && b.peers().some(({ id }) => id === a.id), 2000)
    expect(seen()).toMatchObject([
      { id: b.id, name: 'Same name', paired: false, state: 'nearby', address: `127.0.0.1:${b.port}` },
    ])
    await b.setName('Büro. 2')
    await until(() => seen()[0]?.name === 'Büro. 2', 2000)
    await b.close()
    await until(() => seen().length === 0, 2000)
  })

  it('brings paired docks online without an address, also after a restart on another port', async () => {
    const { a, b, dirB } = await docks.pair(onLoopback)
    await until(() => isOnline(a, b.id) && isOnline(b, a.id), 3000)
    await b.close()
    await until(() => !isOnline(a, b.id))
    await docks.open('Beta', { configDir: dirB, ...onLoopback })
    await until(() => isOnline(a, b.id), 3000)
  })

  it('survives packets that are not what they should be', async () => {
    const a = await docks.open('Alpha', onLoopback)
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    socket.setMulticastInterface('127.0.0.1')
    const send = (packet: Buffer): Promise<void> =>
      new Promise((resolve) => socket.send(packet, 5353, '224.0.0.251', () => resolve()))
    await send(Buffer.from('garbage'))
    // Answers without our fields, then without any.
    await send(answer(true))
    await send(answer(false))
    const b = await docks.open('Beta', onLoopback)
    await until(() => a.peers().some(({ id }) => id === b.id), 2000)
    socket.close()
  })
})

/** A DNS answer `x._wdock._tcp.local` with PTR and SRV, and TXT if asked for. */
function answer(withText: boolean): Buffer {
  const service = name('_wdock', '_tcp', 'local')
  const instance = name('x', '_wdock', '_tcp', 'local')
  const srv = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 80]), name('h', 'local')])
  const records = [record(service, 12, instance), record(instance, 33, srv)]
  if (withText) records.push(record(instance, 16, Buffer.from('\x04id=1')))
  const header = Buffer.alloc(12)
  header.writeUInt16BE(0x8400, 2)
  header.writeUInt16BE(records.length, 6)
  return Buffer.concat([header, ...records])
}

function name(...labels: string[]): Buffer {
  return Buffer.concat([
    ...labels.map((label) => Buffer.from(String.fromCharCode(label.length) + label)),
    Buffer.from([0]),
  ])
}

function record(owner: Buffer, type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(type, 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(120, 4)
  fixed.writeUInt16BE(data.length, 8)
  return Buffer.concat([owner, fixed, data])
}

describe('the choice of interfaces', () => {
  const at = (address: string, internal = false): NetworkInterfaceInfo[] => [
    {
      address,
      netmask: '255.0.0.0',
      family: 'IPv4',
      mac: '00:00:00:00:00:01',
      internal,
      cidr: `${address}/8`,
    },
  ]
  const lo = at('127.0.0.1', true)

  it('takes real ones, others only when there is none, loopback only when there is nothing else', () => {
    const all = {
      lo,
      docker0: at('172.17.0.1'),
      eth0: at('10.0.0.1'),
      wlan0: at('10.1.0.1'),
      wg0: at('10.2.0.1'),
    }
    expect(chooseInterfaces(all, []).map((each) => each.name)).toEqual(['eth0', 'wlan0'])
    expect(chooseInterfaces({ lo, veth7: at('10.9.0.1') }, [])).toMatchObject([
      { name: 'veth7', address: '10.9.0.1' },
    ])
    expect(chooseInterfaces({ lo }, [])).toMatchObject([{ name: 'lo', address: '127.0.0.1' }])
    expect(chooseInterfaces(all, ['wg0', 'none']).map((each) => each.name)).toEqual(['wg0'])
    expect(chooseInterfaces(all, ['none'])).toEqual([])
  })

  it('tells who is on the link', () => {
    const on = { name: 'eth0', address: '192.168.7.9', netmask: '255.255.254.0' }
    expect(['192.168.6.1', '192.168.7.255'].every((host) => isOnLink(host, on))).toBe(true)
    expect(['192.168.8.1', '10.0.0.1', '127.0.0.1'].some((host) => isOnLink(host, on))).toBe(false)
  })

  it('can be made by an environment variable', () => {
    expect(discoveryFromEnvironment({})).toBe(true)
    expect(discoveryFromEnvironment({ WDOCK_DISCOVERY: 'off' })).toBe(false)
    expect(discoveryFromEnvironment({ WDOCK_DISCOVERY: 'eth0, wlan0' })).toEqual({
      interfaces: ['eth0', 'wlan0'],
    })
  })
})
