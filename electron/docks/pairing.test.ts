import { randomBytes } from 'node:crypto'
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { DockNet } from './dock-net.ts'
import { codeOf, commitmentOf, stepCeremony } from './pairing.ts'
import { isOnline, loopback, TestDocks, TurnableClock, until } from './testing/docks.ts'
import type { PairingInfo, PairingState } from './types.ts'

const docks = new TestDocks()
const servers: Server[] = []
afterEach(async () => {
  await docks.dispose()
  for (const server of servers.splice(0)) server.close()
})

function current(dock: DockNet): PairingInfo {
  const [info] = dock.pairings()
  if (info === undefined) throw new Error('no pairing')
  return info
}

function codeShown(dock: DockNet): string | null {
  const state = dock.pairings()[0]?.state
  return state !== undefined && 'code' in state ? state.code : null
}

async function begin(): Promise<{ a: DockNet; b: DockNet }> {
  const a = await docks.open('Alpha')
  const b = await docks.open('Beta')
  await a.connectByAddress(loopback, b.port)
  await a.startPairing(b.id)
  await until(() => codeShown(a) !== null && codeShown(b) !== null)
  return { a, b }
}

function endOf(dock: DockNet): PairingState | null {
  const state = dock.pairings()[0]?.state
  return state?.kind === 'ended' ? state : null
}

describe('the ceremony', () => {
  it.each(['initiator first', 'responder first'])('pairs when both persons confirm, %s', async (order) => {
    const { a, b } = await begin()
    expect(codeShown(a)).toMatch(/^\d{6}$/)
    expect(codeShown(b)).toBe(codeShown(a))
    expect(current(a)).toMatchObject({ dockId: b.id, dockName: 'Beta', role: 'initiator' })
    expect(current(b)).toMatchObject({ dockId: a.id, dockName: 'Alpha', role: 'responder' })
    const [first, second] = order === 'initiator first' ? [a, b] : [b, a]
    await first.confirmPairing(current(first).id)
    expect(current(first).state.kind).toBe('confirmed-here')
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(current(second).state.kind).toBe('comparing')
    expect(first.peers().filter(({ paired }) => paired)).toEqual([])
    await second.confirmPairing(current(second).id)
    await until(() => endOf(a) !== null && endOf(b) !== null)
    expect(endOf(a)).toMatchObject({ outcome: 'paired' })
    expect(endOf(b)).toMatchObject({ outcome: 'paired' })
    await until(() => isOnline(a, b.id) && isOnline(b, a.id))
    await expect(a.startPairing(b.id)).rejects.toMatchObject({ code: 'pairing.already_paired' })
  })

  it.each(['initiator', 'responder'])('ends on both sides when the %s refuses', async (who) => {
    const { a, b } = await begin()
    const [refusing, other] = who === 'initiator' ? [a, b] : [b, a]
    await other.confirmPairing(current(other).id)
    await refusing.refusePairing(current(refusing).id)
    await until(() => endOf(other) !== null)
    expect(endOf(refusing)).toMatchObject({ outcome: 'refused', error: null })
    expect(endOf(other)).toMatchObject({ outcome: 'refused', error: { code: 'pairing.refused' } })
    expect([...a.peers(), ...b.peers()].filter(({ paired }) => paired)).toEqual([])
    await expect(a.confirmPairing(current(a).id)).rejects.toMatchObject({ code: 'pairing.not_found' })
  })
})

describe('ceremonies', () => {
  it('time out after two minutes on both sides', async () => {
    const clock = new TurnableClock()
    const a = await docks.open('Alpha', { clock })
    const b = await docks.open('Beta')
    await a.connectByAddress(loopback, b.port)
    await a.startPairing(b.id)
    await until(() => codeShown(b) !== null)
    clock.turn(119_000)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(endOf(a)).toBeNull()
    clock.turn(1_500)
    await until(() => endOf(a) !== null && endOf(b) !== null)
    expect(endOf(a)).toMatchObject({ outcome: 'timed-out', error: { code: 'pairing.timed_out' } })
  })

  it('are one at a time', async () => {
    const { a, b } = await begin()
    const c = await docks.open('Gamma')
    await c.connectByAddress(loopback, b.port)
    await c.startPairing(b.id)
    await until(() => endOf(c) !== null)
    expect(endOf(c)).toMatchObject({ outcome: 'failed', error: { code: 'pairing.busy' } })
    await a.connectByAddress(loopback, c.port)
    await expect(a.startPairing(c.id)).rejects.toMatchObject({ code: 'pairing.busy' })
    expect(codeShown(b)).toBe(codeShown(a))
  })

  it('that both start at once become one', async () => {
    const a = await docks.open('Alpha')
    const b = await docks.open('Beta')
    await Promise.all([a.connectByAddress(loopback, b.port), b.connectByAddress(loopback, a.port)])
    await Promise.allSettled([a.startPairing(b.id), b.startPairing(a.id)])
    await until(() => codeShown(a) !== null && codeShown(b) !== null)
    expect(codeShown(a)).toBe(codeShown(b))
    expect(current(a).role).not.toBe(current(b).role)
  })

  it('fail when the other dock goes away', async () => {
    const { a, b } = await begin()
    await a.close()
    await until(() => endOf(b) !== null)
    expect(endOf(b)?.kind).toBe('ended')
  })

  it('that ended are listed until they were read or the next one starts', async () => {
    const { a, b } = await begin()
    const first = current(a).id
    await a.dismissPairing(first)
    expect(current(a).state.kind).toBe('comparing')
    await a.refusePairing(first)
    await until(() => endOf(b) !== null)
    await a.startPairing(b.id)
    await until(() => codeShown(a) !== null && codeShown(b) !== null)
    expect([...a.pairings(), ...b.pairings()]).toHaveLength(2)
    await a.dismissPairing(first)
    const second = current(b).id
    await b.refusePairing(second)
    await until(() => endOf(a) !== null)
    await b.dismissPairing(second)
    expect(b.pairings()).toEqual([])
    expect(endOf(a)).toMatchObject({ outcome: 'refused' })
  })

  it('can be started six times a minute, no more', async () => {
    const a = await docks.open('Alpha')
    const b = await docks.open('Beta')
    await a.connectByAddress(loopback, b.port)
    for (let round = 0; round < 6; round += 1) {
      await a.startPairing(b.id)
      await until(() => codeShown(a) !== null)
      await a.refusePairing(current(a).id)
      await until(() => endOf(b) !== null)
    }
    await a.startPairing(b.id)
    await until(() => endOf(a) !== null)
    expect(endOf(a)).toMatchObject({ outcome: 'failed', error: { code: 'dock.rate_limited' } })
  })
})

describe('a man in the middle', () => {
  it('who has a dock of his own on each side makes the two screens differ', async () => {
    const a = await docks.open('Alpha')
    const b = await docks.open('Beta')
    const toA = await docks.open('Beta')
    const toB = await docks.open('Alpha')
    await a.connectByAddress(loopback, toA.port)
    await a.startPairing(toA.id)
    await toB.connectByAddress(loopback, b.port)
    await toB.startPairing(b.id)
    await until(() => codeShown(a) !== null && codeShown(b) !== null)
    expect(codeShown(a)).not.toBe(codeShown(b))
  })

  it('who only passes bytes on is not in the middle: the codes agree, and he cannot read', async () => {
    const a = await docks.open('Alpha')
    const b = await docks.open('Beta')
    const passed: Buffer[] = []
    const relay = createServer((from: Socket) => {
      const to = connectTcp(b.port, loopback)
      from.on('data', (chunk) => passed.push(chunk)).pipe(to)
      to.on('data', (chunk) => passed.push(chunk)).pipe(from)
      for (const socket of [from, to]) socket.on('error', () => {})
    })
    servers.push(relay)
    await new Promise<void>((resolve) => relay.listen(0, loopback, resolve))
    const address = relay.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    expect(await a.connectByAddress(loopback, address.port)).toMatchObject({ id: b.id })
    await a.startPairing(b.id)
    await until(() => codeShown(a) !== null && codeShown(b) !== null)
    expect(codeShown(a)).toBe(codeShown(b))
    expect(Buffer.concat(passed).includes('commitment')).toBe(false)
  })
})

describe('the code', () => {
  const input = {
    initiatorHash: randomBytes(32),
    responderHash: randomBytes(32),
    initiatorNonce: randomBytes(32),
    responderNonce: randomBytes(32),
  }

  it('depends on both certificates, both nonces and the roles', () => {
    const code = codeOf(input)
    expect(codeOf({ ...input })).toBe(code)
    const swapped = { ...input, initiatorHash: input.responderHash, responderHash: input.initiatorHash }
    const others = [
      codeOf(swapped),
      ...Object.keys(input).map((key) => codeOf({ ...input, [key]: randomBytes(32) })),
    ]
    expect(others.filter((other) => other === code)).toHaveLength(0)
  })

  it('has a known value for known input', () => {
    const known = codeOf({
      initiatorHash: Buffer.alloc(32, 1),
      responderHash: Buffer.alloc(32, 2),
      initiatorNonce: Buffer.alloc(32, 3),
      responderNonce: Buffer.alloc(32, 4),
    })
    expect(known).toMatchInlineSnapshot(`"828495"`)
    expect(commitmentOf(Buffer.alloc(32, 3))).toMatchInlineSnapshot(
      `"b731e2229b3cd21ec524d7f3a7de2387e24b7b5aa74d4265fe0023288e9f4908"`,
    )
  })
})

describe('one side of a ceremony', () => {
  it('stores only after both persons confirmed', () => {
    const comparing = stepCeremony({ kind: 'waiting-for-peer' }, { kind: 'code-known', code: '123456' }).state
    const here = stepCeremony(comparing, { kind: 'confirmed-here' })
    expect(here.actions).toEqual(['send-confirm'])
    expect(stepCeremony(here.state, { kind: 'confirmed-there' }).actions).toEqual(['store'])
    const there = stepCeremony(comparing, { kind: 'confirmed-there' })
    expect(there.actions).toEqual([])
    expect(stepCeremony(there.state, { kind: 'confirmed-here' }).actions).toEqual(['send-confirm', 'store'])
  })

  it('rejects what comes out of turn, and stays ended', () => {
    const waiting = { kind: 'waiting-for-peer' } as const
    expect(() => stepCeremony(waiting, { kind: 'confirmed-there' })).toThrow()
    expect(() => stepCeremony(waiting, { kind: 'stored-there' })).toThrow()
    const comparing = stepCeremony(waiting, { kind: 'code-known', code: '1' }).state
    expect(() => stepCeremony(comparing, { kind: 'stored-there' })).toThrow()
    expect(() => stepCeremony(comparing, { kind: 'code-known', code: '2' })).toThrow()
    const { state } = stepCeremony(comparing, { kind: 'expired' })
    expect(stepCeremony(state, { kind: 'confirmed-here' })).toEqual({ state, actions: [] })
  })
})
