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
  'qemu.bad_stream': {
    says: 'The saved memory of this guest is damaged or cut short.',
    fix: 'Nothing was changed. Make the checkpoint again, or restore another one.',
    permanent: true,
  },
  'qemu.load_failed': {
    says: 'QEMU broke off loading the saved guest.',
    fix: 'The checkpoint is as it was. Read the details; QEMU of the version that made it may load it.',
    permanent: false,
  },
  'qemu.cannot_capture': {
    says: 'The state of this guest cannot be taken while it is {status}.',
    fix: 'Let it run, or pause it, and try again.',
    permanent: false,
  },
  'qemu.memory_too_busy': {
    says: 'The guest changes its memory faster than it can be copied.',
    fix: 'The guest runs on. Try again when it is less busy, or pause it first.',
    permanent: false,
  },
  'qemu.machine_type_gone': {
    says: 'QEMU on this PC does not know the machine type {machine} of this guest.',
    fix: 'Update QEMU, or start the guest on a PC whose QEMU knows it.',
    permanent: true,
  },
  'stream.unsupported': {
    says: 'QEMU saved the memory of this guest in a way that Wireless Dock+ cannot read: {what}.',
    fix: 'Switch that off for this guest, then try again. Nothing was changed.',
    permanent: true,
  },
} as const satisfies Record<string, ErrorSpec>
