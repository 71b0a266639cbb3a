/**
 * The few calls of the file system that kept pages are made of, all synchronous: they run in a thread of
 * their own, which has nothing else to do. Injected, so that tests can make any of them fail. Promises files
 * and folders for this user only; errors are Node's own.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'

export interface KeptDisk {
  /** `read`: what is there. `write`: an empty file in place of what is there, to be read as well. */
  open(path: string, to: 'read' | 'write'): number
  close(file: number): void
  /** @returns how many bytes were read, 0 at the end */
  read(file: number, out: Buffer, at: number, lengthBytes: number, position: number): number
  /** @returns how many bytes were written, perhaps fewer than asked for */
  write(file: number, bytes: Buffer, at: number, lengthBytes: number, position: number): number
  /** Makes what was written to a file survive a power cut. */
  sync(file: number): void
  /** The same for names in a folder. */
  syncFolder(folder: string): void
  rename(from: string, to: string): void
  /** No error when there is no such file. */
  remove(path: string): void
  list(folder: string): string[]
  makeFolder(folder: string): void
}

export const systemDisk: KeptDisk = {
  open: (path, to) => openSync(path, to === 'read' ? 'r' : 'w+', 0o600),
  close: (file) => closeSync(file),
  read: (file, out, at, lengthBytes, position) => readSync(file, out, at, lengthBytes, position),
  write: (file, bytes, at, lengthBytes, position) => writeSync(file, bytes, at, lengthBytes, position),
  sync: (file) => fsyncSync(file),
  syncFolder: (folder) => {
    const file = openSync(folder, 'r')
    try {
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  },
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path, { force: true }),
  list: (folder) => readdirSync(folder),
  makeFolder: (folder) => {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  },
}

/** Reads exactly so much. @returns false when the file ends before, or cannot be read */
export function readWhole(
  disk: KeptDisk,
  file: number,
  out: Buffer,
  lengthBytes: number,
  position: number,
): boolean {
  try {
    for (let done = 0; done < lengthBytes; ) {
      const bytes = disk.read(file, out, done, lengthBytes - done, position + done)
      if (bytes === 0) return false
      done += bytes
    }
    return true
  } catch {
    return false
  }
}

/** Writes all of it. @throws what the disk throws */
export function writeWhole(disk: KeptDisk, file: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += disk.write(file, bytes, done, bytes.length - done, position + done)
  }
}

/** Reads a small file. @returns null when it is not there, longer than that, or cannot be read */
export function readSmall(disk: KeptDisk, path: string, mostBytes: number): Buffer | null {
  try {
    const file = disk.open(path, 'read')
    try {
      const bytes = Buffer.alloc(mostBytes + 1)
      let length = 0
      for (let more = 1; more > 0 && length <= mostBytes; length += more) {
        more = disk.read(file, bytes, length, bytes.length - length, length)
      }
      return length <= mostBytes ? bytes.subarray(0, length) : null
    } finally {
      disk.close(file)
    }
  } catch {
    return null
  }
}

/** A small file that is the old or the new one whatever happens: `.tmp` beside it, fsync, rename. */
export function writeSmall(disk: KeptDisk, path: string, bytes: Buffer): void {
  const file = disk.open(`${path}.tmp`, 'write')
  try {
    writeWhole(disk, file, bytes, 0)
    disk.sync(file)
  } finally {
    disk.close(file)
  }
  disk.rename(`${path}.tmp`, path)
}

/** For what is tidied up on the way: the next visit does it again. */
export function trying(work: () => void): void {
  try {
    work()
  } catch {
    // Left for the next time.
  }
}
