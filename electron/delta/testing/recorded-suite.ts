/** What holds for streams of every QEMU: for tests, which name the program. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect } from 'vitest'
import { mebibyteBytes } from '../../../shared/models/guest-definition.ts'
import { demoGuestDir, demoManifest, demoSpec, QemuBench } from '../../qemu/test-guests.ts'
import { WitnessReader } from '../../testing/witness.ts'
import { crossToAndFro, recordMove } from './recorded.ts'

export interface RecordedGuest {
  binary: string
  memoryMebibytes: number
  cores: number
  /** With a disk and a network card; without, only with what every guest has. */
  hasDevices: boolean
}

/** A guest of that make is recorded twice, with work in between; both streams cross the codec, cut in many ways. */
export async function expectRebuilt(guest: RecordedGuest): Promise<void> {
  const { binary, memoryMebibytes, cores, hasDevices } = guest
  const bench = await QemuBench.make()
  try {
    const base = join(demoGuestDir, demoManifest().disk)
    const topPath = join(bench.dir, 'top.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base, topPath])
    const memoryBytes = memoryMebibytes * mebibyteBytes
    const definition = { memoryBytes, maxMemoryBytes: 2 * memoryBytes, cores }
    const qemu = await bench.start(
      demoSpec(await bench.folder('q'), {
        binary,
        definition: hasDevices ? { ...definition, network: 'user' } : definition,
        ...(hasDevices ? { disk: { topPath, layerPaths: [base] } } : {}),
      }),
    )
    const witness = await WitnessReader.connect(qemu.sockets.witness)
    await witness.waitForTicks(20, 60_000)
    const first = await recordMove(qemu)
    expect(await witness.ask('load terminal', 30_000)).toContain('load')
    await witness.waitForTicks(100, 30_000)
    const second = await recordMove(qemu)
    await witness.waitForTicks(5, 30_000)
    witness.close()
    await qemu.kill()
    let round = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 40 }), async (cuts) => {
        round += 1
        const folder = await bench.folder(`kept${round}`)
        const [there, back] = await crossToAndFro(folder, [first, second], cuts)
        expect(there).toMatchObject({ isSame: true, isWhole: true, repairedPages: 0 })
        expect(back).toMatchObject({ isSame: true, isWhole: true, repairedPages: 0 })
        expect(back?.share).toBeLessThan((there?.share ?? 0) / 4)
      }),
      { numRuns: 1 },
    )
  } finally {
    await bench.end()
  }
}
