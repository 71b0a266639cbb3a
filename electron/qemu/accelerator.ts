/**
 * Whether guests can run on the processor itself (KVM) or must be emulated (TCG). Promises that `kvm` is only
 * said after 64-bit code really ran under it, and a sentence for people why. Remembered for one boot.
 */
import { constants } from 'node:fs'
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { readJson, systemErrorCode, writeJsonAtomic } from '../platform/atomic-file.ts'
import { bootId, runTool, ToolEnded } from '../platform/processes.ts'
import type { QemuInfo } from './capabilities.ts'
import { hostCpuFeatures } from './cpu-features.ts'
import { buildProbeImage, probeDevice, probeExitCode } from './probe-image.ts'

const acceleratorInfo = z.object({
  kind: z.enum(['kvm', 'tcg']),
  /** Which one and why, for the screen. */
  sentence: z.string(),
})
export type AcceleratorInfo = z.infer<typeof acceleratorInfo>

const cacheFile = z.object({
  version: z.literal(1),
  bootId: z.string(),
  binary: z.string(),
  /** Access to /dev/kvm may be granted while the machine is up. */
  deviceUsable: z.boolean(),
  info: acceleratorInfo,
})

export interface ProbeAcceleratorOptions {
  qemu: QemuInfo
  cachePath?: string
  /** How long the sign of life may take. Default 3 s. */
  timeoutMs?: number
}

const emulated = 'Guests are emulated (TCG), about ten times slower.'
const devicePath = '/dev/kvm'

/** Never throws for a missing or broken KVM: that is an answer. */
export async function probeAccelerator(options: ProbeAcceleratorOptions): Promise<AcceleratorInfo> {
  const deviceError = await deviceProblem()
  const question = { bootId: bootId(), binary: options.qemu.binary, deviceUsable: deviceError === null }
  const cached = options.cachePath ? await readJson(options.cachePath, cacheFile).catch(() => null) : null
  if (
    cached?.bootId === question.bootId &&
    cached.binary === question.binary &&
    cached.deviceUsable === question.deviceUsable
  ) {
    return cached.info
  }
  const info = await probe(options, deviceError)
  if (options.cachePath) await writeJsonAtomic(options.cachePath, { version: 1, ...question, info })
  return info
}

async function probe(options: ProbeAcceleratorOptions, deviceError: string | null): Promise<AcceleratorInfo> {
  const flags = await hostCpuFeatures().catch((): string[] => [])
  if (!flags.includes('vmx') && !flags.includes('svm')) {
    return no('this processor (or the hypervisor above) offers no VMX/SVM')
  }
  if (deviceError !== null) return no(deviceError)
  const result = await runProbeImage(options.qemu.binary, 'kvm', options.timeoutMs ?? 3000)
  if (result.alive) return { kind: 'kvm', sentence: 'Guests run on the processor itself (KVM).' }
  return no(result.why)
}

function no(why: string): AcceleratorInfo {
  return { kind: 'tcg', sentence: `KVM is not usable: ${why}. ${emulated}` }
}

async function deviceProblem(): Promise<string | null> {
  try {
    await access(devicePath, constants.R_OK | constants.W_OK)
    return null
  } catch (error) {
    return systemErrorCode(error) === 'EACCES'
      ? `your user may not open ${devicePath}; join the group kvm and log in again`
      : `there is no ${devicePath}; virtualisation may be switched off in the firmware`
  }
}

export type ProbeResult = { alive: true } | { alive: false; why: string }

/** Runs the probe image under one accelerator and ends QEMU. Alive only on the image's own exit code. */
export async function runProbeImage(
  binary: string,
  accelerator: 'kvm' | 'tcg',
  timeoutMs: number,
): Promise<ProbeResult> {
  const folder = await mkdtemp(join(tmpdir(), 'wdock-probe-'))
  try {
    const image = join(folder, 'probe.bin')
    await writeFile(image, buildProbeImage())
    const args = ['-no-user-config', '-nodefaults', '-display', 'none', '-machine', 'q35', '-m', '128M']
    args.push('-accel', accelerator, '-bios', image, '-device', probeDevice)
    const { code, stderr } = await runTool(binary, args, { timeoutMs, maxOutputBytes: 64 * 1024 })
    if (code === probeExitCode) return { alive: true }
    return { alive: false, why: `QEMU could not use it (${lastLine(stderr) || `exit code ${code}`})` }
  } catch (error) {
    if (error instanceof ToolEnded) return { alive: false, why: '64-bit code gave no sign of life under it' }
    return { alive: false, why: `QEMU could not be run (${error instanceof Error ? error.message : error})` }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
