/**
 * What this PC can do for guests: its QEMU, its accelerator, its free memory and disk. Probed once and kept; what
 * changes is read anew each time.
 */
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { toWdockError, type WdockError } from '../../shared/errors/index.ts'
import type { Accelerator, DockCapabilities } from '../../shared/models/dock.ts'
import type { GuestDefinition } from '../../shared/models/guest-definition.ts'
import { freeBytes } from '../disk/image.ts'
import type { Log } from '../platform/log.ts'
import { type AcceleratorInfo, probeAccelerator } from '../qemu/accelerator.ts'
import { minimumQemu, probeQemu, type QemuInfo } from '../qemu/capabilities.ts'
import { pickCpuModel, probeKvmCpu, tcgCpuModel } from '../qemu/cpu-features.ts'
import { type CpuLack, type CpuOffer, lacksOf, wholeModels } from '../qemu/cpu-offer.ts'
import { probePostCopy } from '../qemu/post-copy-probe.ts'
import { Memory, memoryFreeBytes } from './memory.ts'

export interface MachineOptions {
  cacheDir: string
  dataDir: string
  appVersion: string
  log: Log
  /** What the docks can do to which a guest could move now. */
  otherDocks: () => readonly DockCapabilities[]
}

interface UsableMachine {
  qemu: QemuInfo
  accelerator: AcceleratorInfo
  /** What `accelerator` offers. */
  cpu: CpuOffer
  /** Why a guest cannot run here before all of its memory is; null where it can. */
  postCopyProblem: string | null
}

type Probe = ({ kind: 'usable' } & UsableMachine) | { kind: 'unusable'; error: WdockError }

/** What one accelerator of this PC lacks of a guest's processor. */
export interface AcceleratorLack extends CpuLack {
  accelerator: Accelerator['kind']
}

export class Machine {
  readonly #options: MachineOptions
  readonly memory = new Memory()
  #probe: Promise<Probe> | null = null

  constructor(options: MachineOptions) {
    this.#options = options
  }

  /** The usable QEMU of this PC. A failed probe is tried again, so that installing QEMU needs no restart.
   * @throws qemu.missing, qemu.too_old */
  async require(): Promise<UsableMachine> {
    const probe = await this.#probed()
    if (probe.kind === 'usable') return probe
    this.#probe = null
    throw probe.error
  }

  /** The CPU model for a guest that boots for the first time: the newest with which it can run here and move. */
  async defaultCpuModel(): Promise<string> {
    const { accelerator, cpu } = await this.require()
    if (accelerator.kind === 'tcg') return tcgCpuModel
    return pickCpuModel(wholeModels(cpu), this.#modelsElsewhere(accelerator.kind))
  }

  /** The CPU model for a guest that boots again: its own, unless this PC or a dock in sight lacks something of it. */
  async cpuModelForBoot({
    accelerator,
    cpuModel,
  }: Pick<GuestDefinition, 'accelerator' | 'cpuModel'>): Promise<string> {
    const here = await this.require()
    const [name = cpuModel] = cpuModel.split(',')
    const isOffered =
      accelerator === here.accelerator.kind &&
      lacksOf(here.cpu, cpuModel).length === 0 &&
      this.#modelsElsewhere(accelerator).every((models) => models.includes(name))
    return isOffered ? cpuModel : await this.defaultCpuModel()
  }

  /**
   * The machine type for a new guest: the oldest this project supports that QEMU still knows, so that the guest
   * can move to as many docks as possible.
   */
  async defaultMachineType(): Promise<string> {
    const { qemu } = await this.require()
    return qemu.machineTypes.findLast(isSupported) ?? qemu.latestMachine
  }

  /** What each accelerator of this PC lacks of a CPU model with its flags; empty when they lack nothing. */
  async missingCpuFeatures(model: string): Promise<AcceleratorLack[]> {
    const { qemu, accelerator, cpu } = await this.require()
    const offers = new Map([
      ['tcg', qemu.emulatedCpu],
      [accelerator.kind, cpu],
    ] as const)
    return [...offers].flatMap(([kind, offer]) =>
      lacksOf(offer, model).map((lack) => ({ ...lack, accelerator: kind })),
    )
  }

  async capabilities(): Promise<DockCapabilities> {
    const probe = await this.#probed()
    const usable = probe.kind === 'usable' ? probe : null
    return {
      appVersion: this.#options.appVersion,
      qemuVersion: usable?.qemu.version.text ?? null,
      qemuProblem: probe.kind === 'unusable' ? `${probe.error.message} ${probe.error.fix}` : null,
      machineTypes: usable?.qemu.machineTypes.slice(0, 200) ?? [],
      accelerator: usable === null ? noAccelerator : shown(usable.accelerator),
      cpuModels: usable === null ? [] : wholeModels(usable.cpu).slice(0, 500),
      postCopyProblem: usable?.postCopyProblem ?? null,
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      memoryFreeBytes: await memoryFreeBytes(),
      diskFreeBytes: await freeBytes(this.#options.dataDir),
    }
  }

  /** The models of the docks that run guests as this one does: those are where its guests can go. */
  #modelsElsewhere(accelerator: Accelerator['kind']): string[][] {
    return this.#options
      .otherDocks()
      .filter((dock) => dock.qemuVersion !== null && dock.accelerator.kind === accelerator)
      .map((dock) => dock.cpuModels)
  }

  #probed(): Promise<Probe> {
    this.#probe ??= this.#runProbe()
    return this.#probe
  }

  async #runProbe(): Promise<Probe> {
    try {
      const { cacheDir } = this.#options
      const qemu = await probeQemu({ cachePath: join(cacheDir, 'qemu.json') })
      const accelerator = await probeAccelerator({ qemu, cachePath: join(cacheDir, 'accelerator.json') })
      const cpu =
        accelerator.kind === 'tcg'
          ? qemu.emulatedCpu
          : await probeKvmCpu(qemu, { cachePath: join(cacheDir, 'kvm-cpu.json') })
      this.#options.log.info('machine probed', { qemu: qemu.version.text, accelerator: accelerator.kind })
      return { kind: 'usable', qemu, accelerator, cpu, postCopyProblem: await probePostCopy(qemu) }
    } catch (thrown) {
      const error = toWdockError(thrown)
      this.#options.log.warn('QEMU cannot be used', { error: error.toJSON() })
      return { kind: 'unusable', error }
    }
  }
}

function isSupported(machine: string): boolean {
  const [major = 0, minor = 0] = machine.replace('pc-q35-', '').split('.').map(Number)
  return major > minimumQemu.major || (major === minimumQemu.major && minor >= minimumQemu.minor)
}

const noAccelerator: Accelerator = {
  kind: 'tcg',
  sentence: 'Guests cannot run here until QEMU is installed.',
}

function shown(info: AcceleratorInfo): Accelerator {
  return { kind: info.kind, sentence: info.sentence }
}
