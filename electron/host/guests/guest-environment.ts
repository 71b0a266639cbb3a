/** What every guest of a host shares: its PC, its stores, and how QEMUs are started there. */
import type { Guest } from '../../../shared/models/guest.ts'
import type { LayerStore } from '../../disk/layers.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { adoptQemu, killRecorded, launchQemu } from '../../qemu/process.ts'
import type { Machine } from '../machine.ts'
import type { BootFileStore } from './boot-files.ts'

/** What a guest asks of the machine it stands on. */
export type GuestMachine = Pick<
  Machine,
  | 'require'
  | 'memory'
  | 'capabilities'
  | 'defaultCpuModel'
  | 'cpuModelForBoot'
  | 'defaultMachineType'
  | 'missingCpuFeatures'
>

/** How QEMUs are started, found again and ended; tests put simulated ones in their place. */
export interface QemuControl {
  launch: typeof launchQemu
  adopt: typeof adoptQemu
  killRecorded: typeof killRecorded
}

export interface GuestEnvironment {
  dockId: string
  dataDir: string
  runtimeDir: string
  layers: LayerStore
  bootFiles: BootFileStore
  machine: GuestMachine
  clock: Clock
  log: Log
  qemu?: QemuControl
  publish(guest: Guest): void
}
