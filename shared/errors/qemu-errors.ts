/** Failures of QEMU: finding it, starting it, talking to it. */
import type { ErrorSpec } from './wdock-error.ts'

export const qemuErrors = {
  'qemu.missing': {
    says: 'QEMU is not installed on this PC.',
    fix: 'Install it, on Debian or Ubuntu with: sudo apt install qemu-system-x86 qemu-utils',
    permanent: true,
  },
  'qemu.too_old': {
    says: 'QEMU {found} is installed, but {needed} or newer is needed.',
    fix: 'Update QEMU from your distribution or its backports.',
    permanent: true,
  },
  'qemu.start_failed': {
    says: 'QEMU ended while it was starting.',
    fix: 'Read what QEMU said below, correct the guest’s settings and start it again.',
    permanent: false,
  },
  'qemu.gone': {
    says: 'The QEMU process of this guest has ended.',
    fix: 'Start the guest again; its disk is as QEMU left it.',
    permanent: false,
  },
  'qemu.command_failed': {
    says: 'QEMU refused the command {command}.',
    fix: 'Try again; if it happens again, report it with the details shown here.',
    permanent: false,
  },
  'qemu.silent': {
    says: 'QEMU did not answer the command {command} within {seconds} s.',
    fix: 'Try again. If the guest hangs, force it off.',
    permanent: false,
  },
  'qemu.migration_failed': {
    says: 'QEMU ended the transfer of the guest’s memory: {status}.',
    fix: 'The guest runs on where it was. Read the details and try again.',
    permanent: false,
  },
  'qemu.bad_reply': {
    says: 'QEMU sent an answer that Wireless Dock+ does not understand.',
    fix: 'Update Wireless Dock+ or QEMU; report it with the details shown here.',
    permanent: true,
  },
  'qemu.machine_type_gone': {
    says: 'QEMU on this PC does not know the machine type {machine} of this guest.',
    fix: 'Update QEMU, or start the guest on a PC whose QEMU knows it.',
    permanent: true,
  },
} as const satisfies Record<string, ErrorSpec>
