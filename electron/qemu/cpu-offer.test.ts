import { describe, expect, it } from 'vitest'
import { type CpuOffer, lacksOf, wholeModels } from './cpu-offer.ts'

const offer: CpuOffer = {
  models: [
    { name: 'Nehalem', lacks: [] },
    { name: 'Haswell', lacks: ['pcid', 'tsc-deadline'] },
  ],
  features: ['avx2', 'sse4.1', 'vme'],
  lackedFeatures: ['avx512f', 'pcid', 'tsc-deadline', 'x2apic'],
}
const names = (cpuModel: string): string[] => lacksOf(offer, cpuModel).map(({ name }) => name)

describe('what an accelerator lacks of a CPU model', () => {
  it('is every single feature of the model that it does not have', () => {
    expect(names('Nehalem')).toEqual([])
    expect(names('Haswell')).toEqual(['pcid', 'tsc-deadline'])
    expect(wholeModels(offer)).toEqual(['Nehalem'])
  })

  it('is the model itself where QEMU does not know it', () => {
    expect(lacksOf(offer, 'SapphireRapids,+avx2')).toEqual([{ kind: 'model', name: 'SapphireRapids' }])
    expect(lacksOf(offer, 'constructor')).toEqual([{ kind: 'model', name: 'constructor' }])
  })

  it('follows the flags behind the model: added features count, those taken away do not', () => {
    expect(names('Nehalem,+avx512f,x2apic=on,+avx2,-vme')).toEqual(['avx512f', 'x2apic'])
    expect(names('Haswell,-pcid,tsc-deadline=off')).toEqual([])
    expect(names('Haswell,-pcid,+pcid')).toEqual(['tsc-deadline', 'pcid'])
  })

  it('knows a feature by each of the spellings that QEMU takes', () => {
    expect(names('Haswell,-tsc_deadline,+sse4_1,+sse4-1')).toEqual(['pcid'])
  })

  it('is not concerned with options that are no features', () => {
    expect(names('Nehalem,vendor=GenuineIntel,enforce,level=13')).toEqual([])
  })
})
