/** What a person does to a running guest from outside: look, press the power button, pause, resume. */

import { serialLogBytes, serialLogChardev } from './command-line.ts'
import {
  cont,
  queryBlock,
  queryStatus,
  ringbufRead,
  screendump,
  stop,
  systemPowerdown,
} from './qmp/commands.ts'
import type { QmpSession } from './qmp/session.ts'

export { queryStatus }

/** Writes a PNG of the guest's screen to `path`, which QEMU itself opens. @throws qemu.command_failed */
export async function takePicture(qmp: QmpSession, path: string): Promise<void> {
  await screendump(qmp, path)
}

/** The ACPI power button: the guest's own system decides what to do. */
export async function sendPowerButton(qmp: QmpSession): Promise<void> {
  await systemPowerdown(qmp)
}

export async function pause(qmp: QmpSession): Promise<void> {
  await stop(qmp)
}

export async function resume(qmp: QmpSession): Promise<void> {
  await cont(qmp)
}

/**
 * Whether QEMU stopped the guest (`io-error`) because a write found no space (werror=enospc, its default). The write
 * is tried again when the guest goes on.
 */
export async function isOutOfSpace(qmp: QmpSession): Promise<boolean> {
  return (await queryBlock(qmp)).some((device) => device['io-status'] === 'nospace')
}

/** What the guest wrote to its first serial port since the last call, at most the last 64 KiB. */
export async function readSerialLog(qmp: QmpSession): Promise<string> {
  return await ringbufRead(qmp, serialLogChardev, serialLogBytes)
}
