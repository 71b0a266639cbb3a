/**
 * Takes a guest at one instant, live: its memory and devices into a receiver, its disks by freezing them in the same
 * standstill. Promises that a capture which fails or is cancelled leaves the guest as it was, its disks its own; one
 * that succeeds leaves the disks frozen, to be read (frozen-export.ts) and then thawed (thaw.ts) by the caller.
 */
import type { Log } from '../platform/log.ts'
import {
  captureMemory,
  type MemoryCapture,
  type MemoryCaptureOptions,
  settleMemoryCapture,
} from '../qemu/capture/memory.ts'
import type { QmpSession } from '../qemu/qmp/session.ts'
import { freezeActions, prepareFreeze } from './freeze.ts'
import type { FreezableDisk } from './overlay.ts'
import { thawDisks } from './thaw.ts'

export interface GuestCaptureOptions extends Omit<MemoryCaptureOptions, 'atInstant'> {
  /** All that the guest can write to. */
  disks: readonly FreezableDisk[]
  log: Log
}

/** @throws what prepareFreeze and captureMemory throw */
export async function captureGuest(qmp: QmpSession, options: GuestCaptureOptions): Promise<MemoryCapture> {
  const { disks, ...memory } = options
  await prepareFreeze(qmp, disks)
  try {
    return await captureMemory(qmp, { ...memory, atInstant: freezeActions(disks) })
  } catch (error) {
    await thawDisks(qmp, disks).catch((thawError: unknown) => {
      // Its own next capture, host or start does it.
      options.log.warn('a guest was left with frozen disks', { error: thawError })
    })
    throw error
  }
}

/**
 * For a QEMU that a new host has found: ends whatever capture an earlier one left, memory and disks. Does nothing for
 * others; safe to call at any time when this host captures nothing of this guest.
 * @throws disk.thaw_failed, qemu.command_failed, qemu.gone, qemu.silent
 */
export async function settleGuestCapture(qmp: QmpSession, disks: readonly FreezableDisk[]): Promise<void> {
  await settleMemoryCapture(qmp)
  await thawDisks(qmp, disks)
}
