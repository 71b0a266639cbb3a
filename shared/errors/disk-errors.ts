/** Failures of disk images and layers. */
import type { ErrorSpec } from './wdock-error.ts'

export const diskErrors = {
  'disk.missing': {
    says: 'The disk file {path} is not there.',
    fix: 'Check the path, or connect the drive that holds it.',
    permanent: true,
  },
  'disk.not_a_file': {
    says: '{path} is not a regular file.',
    fix: 'Choose a disk image file.',
    permanent: true,
  },
  'disk.not_an_image': {
    says: '{path} is not a disk image that Wireless Dock+ can read.',
    fix: 'Choose a qcow2 or raw image.',
    permanent: true,
  },
  'disk.truncated': {
    says: 'The disk image {path} is damaged or cut short.',
    fix: 'Restore it from a backup, or repair it with: qemu-img check -r leaks',
    permanent: true,
  },
  'disk.locked': {
    says: 'The disk image {path} is in use by another program.',
    fix: 'Shut down the machine that uses it and try again.',
    permanent: false,
  },
  'disk.backed_outside': {
    says: 'The disk image {path} depends on another file, {backing}.',
    fix: 'Make it stand alone first: qemu-img convert -O qcow2 {path} new.qcow2',
    permanent: true,
  },
  'disk.no_space': {
    says: 'There is not enough free space: {needed} needed, {free} free.',
    fix: 'Free some space and try again.',
    permanent: false,
  },
  'disk.layer_missing': {
    says: 'The disk layer {layer} is missing on this PC.',
    fix: 'Fetch the guest again from the PC that has it.',
    permanent: true,
  },
  'disk.layer_corrupt': {
    says: 'The disk layer {layer} arrived damaged.',
    fix: 'It was thrown away. Try again.',
    permanent: false,
  },
  'disk.transfer_cut': {
    says: 'The transfer of a disk layer was cut off.',
    fix: 'Try again: what has arrived is kept and not sent twice.',
    permanent: false,
  },
  'disk.mirror_failed': {
    says: 'Copying the disk to the other PC failed.',
    fix: 'Check the free space there and the link, then try again.',
    permanent: false,
  },
  'disk.mirror_full': {
    says: 'The disk of the other PC became full while the guest’s disk was copied to it.',
    fix: 'The guest runs on where it was. Free some space on the other PC and try again.',
    permanent: false,
  },
  'disk.nbd_failed': {
    says: 'Reading the guest’s disk through QEMU failed.',
    fix: 'Try again. If it happens again, check the drive that holds the disk; the details say what QEMU answered.',
    permanent: false,
  },
  'disk.freeze_failed': {
    says: 'The disk of this guest could not be frozen for a checkpoint.',
    fix: 'The guest runs on. Check the free space on this PC and try again.',
    permanent: false,
  },
  'disk.frozen_already': {
    says: 'A checkpoint of this guest is still being read.',
    fix: 'Wait until that has ended, or cancel it.',
    permanent: false,
  },
  'disk.frozen_unreadable': {
    says: 'The frozen disk of this guest cannot be read.',
    fix: 'The guest runs on. Make the checkpoint again.',
    permanent: false,
  },
  'disk.thaw_failed': {
    says: 'What this guest wrote during a checkpoint could not be put back into its disk yet.',
    fix: 'Nothing is lost: it stays in a file beside the disk, and this is tried again at the next checkpoint and start. Free some space if the PC is full.',
    permanent: false,
  },
  'disk.image_tool_failed': {
    says: 'Working on the disk image {path} failed.',
    fix: 'Read what qemu-img said below.',
    permanent: false,
  },
} as const satisfies Record<string, ErrorSpec>
