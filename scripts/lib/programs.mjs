/**
 * The programs of the operating system that the project calls, where each comes from and why it is needed:
 * the one list. Found by looking for the programs themselves, so it holds for every distribution.
 */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * @typedef {'demo' | 'headless' | 'start' | 'wdock' | 'test'} Purpose what a person is about to do
 * @typedef {{ programs: string[], why: string, apt: string, dnf: string, pacman: string, for: Purpose[] }} Need
 */

/** One of `programs` is enough. @type {Need[]} */
export const NEEDS = [
  {
    programs: ['qemu-system-x86_64'],
    why: 'runs the guests',
    apt: 'qemu-system-x86',
    dnf: 'qemu-system-x86-core',
    pacman: 'qemu-system-x86',
    for: ['demo', 'headless', 'start', 'wdock', 'test'],
  },
  {
    programs: ['qemu-img'],
    why: 'makes and checks disk images',
    apt: 'qemu-utils',
    dnf: 'qemu-img',
    pacman: 'qemu-img',
    for: ['demo', 'headless', 'start', 'wdock', 'test'],
  },
  {
    programs: ['mke2fs'],
    why: 'makes the file system of the demo guest',
    apt: 'e2fsprogs',
    dnf: 'e2fsprogs',
    pacman: 'e2fsprogs',
    for: ['demo', 'headless', 'test'],
  },
  {
    programs: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    why: 'shows the window where Electron cannot, and runs the tests of the screens',
    apt: 'chromium',
    dnf: 'chromium',
    pacman: 'chromium',
    for: ['demo', 'start', 'test'],
  },
  {
    programs: ['ip'],
    why: 'puts two docks into two networks in the tests (ip, tc)',
    apt: 'iproute2',
    dnf: 'iproute',
    pacman: 'iproute2',
    for: ['test'],
  },
]

/** Folders that a normal user's PATH may leave out. */
const EXTRA_FOLDERS = ['/usr/sbin', '/sbin', '/usr/local/sbin']

/** The full path of a program, or null. @param {string} name */
export function findProgram(name) {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), ...EXTRA_FOLDERS]) {
    if (folder === '') continue
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // not in this folder
    }
  }
  return null
}

/** What is missing for a purpose. @param {Purpose} purpose @returns {Need[]} */
export function missingFor(purpose) {
  return NEEDS.filter(
    (need) => need.for.includes(purpose) && need.programs.every((name) => findProgram(name) === null),
  )
}
