/** What this PC says of guests that could come: asked of the real QEMU under emulation. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DockCapabilities } from '../../shared/models/dock.ts'
import { silentLog } from '../platform/log.ts'
import { machineLayoutVersion } from '../qemu/command-line.ts'
import { findBlockers } from './docking/arrival-check.ts'
import { modelGuest } from './docking/testing/fake-machine.ts'
import { Machine } from './machine.ts'

let folder: string
let machine: Machine
const others: DockCapabilities[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdm-'))
  machine = new Machine({
    cacheDir: folder,
    dataDir: folder,
    appVersion: 'test',
    log: silentLog,
    otherDocks: () => others,
  })
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function blockersOf(cpuModel: string): Promise<ReturnType<typeof findBlockers>> {
  const { definition, homeDockId } = modelGuest(undefined, 'a'.repeat(52))
  const files = { layers: [], bootFiles: [], topBytes: 0 }
  const times = { createdAtMs: 0, bootedAtMs: 0 }
  return findBlockers(
    {
      machineLayout: machineLayoutVersion,
      definition: { ...definition, cpuModel },
      homeDockId,
      ...files,
      ...times,
    },
    {
      dockName: 'Tower',
      capabilities: await machine.capabilities(),
      sameId: 'none',
      nameTaken: false,
      missingBytes: 0,
      memoryRoomBytes: definition.memoryBytes,
      missingCpuFeatures: await machine.missingCpuFeatures(cpuModel),
      suggestedCpuModel: await machine.defaultCpuModel(),
    },
  )
}

describe('an emulated guest that wants to come', () => {
  it('is blocked, with the names of the features of its CPU model that emulation lacks', async () => {
    const [found, ...rest] = await blockersOf('Skylake-Server')
    expect(rest).toEqual([])
    expect(found?.code).toBe('migration.cpu_feature_missing')
    expect(found?.message).toMatch(
      /^Model uses processor features that Tower lacks: \S+, \S+, \S+ and \d+ more\.$/,
    )
    expect(found?.detail).toMatch(/^Skylake-Server, TCG: .*\bavx512f, avx512dq\b/)
  })

  it('is blocked, with the name of its CPU model, when QEMU does not know that', async () => {
    const found = await blockersOf('Zen9')
    expect(found.map(({ code }) => code)).toEqual(['migration.cpu_model_unknown'])
  })

  it('is welcome with the model that every emulated guest gets', async () => {
    expect(await blockersOf(await machine.defaultCpuModel())).toEqual([])
  })
})

describe('the CPU model of a guest that boots', () => {
  const boots = (cpuModel: string): Promise<string> =>
    machine.cpuModelForBoot({ accelerator: 'tcg', cpuModel })

  it('stays as long as this PC offers all of it, else it is the one of new guests', async () => {
    expect(await boots('Nehalem')).toBe('Nehalem')
    expect(await boots('Skylake-Server')).toBe('Westmere')
    expect(await machine.cpuModelForBoot({ accelerator: 'kvm', cpuModel: 'Nehalem' })).toBe('Westmere')
  })

  it('changes when a dock in sight that runs guests in the same way does not offer it', async () => {
    const here = await machine.capabilities()
    others.push({ ...here, accelerator: { kind: 'kvm', sentence: '' }, cpuModels: [] })
    others.push({ ...here, qemuVersion: null, cpuModels: [] })
    expect(await boots('Nehalem')).toBe('Nehalem')
    others.push({ ...here, cpuModels: ['Westmere'] })
    expect(await boots('Nehalem')).toBe('Westmere')
  })
})
