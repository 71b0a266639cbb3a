/**
 * A file system of a few megabytes at a folder, to be filled to its last byte: a real full disk. For tests only.
 * Promises that its memory and its mount are given back by `unmount`. Needs root; `mountsAllowed` tells.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { systemErrorCode } from '../platform/atomic-file.ts'

const run = promisify(execFile)
const chunk = Buffer.alloc(1024 ** 2)

/** Whether this user may mount a file system here. */
export async function mountsAllowed(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'wdock-try-'))
  try {
    await (await SmallDisk.mount(folder, 64 * 1024)).unmount()
    return true
  } catch {
    return false
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export class SmallDisk {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Makes the folder where it is missing; what was in it is hidden until `unmount`. */
  static async mount(folder: string, sizeBytes: number): Promise<SmallDisk> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0700`, 'wdock-small', folder])
    return new SmallDisk(folder)
  }

  get #ballast(): string {
    return join(this.#folder, 'ballast')
  }

  /** Takes all the space but `leftBytes`. */
  async fill(leftBytes = 0): Promise<void> {
    const file = await open(this.#ballast, 'w')
    try {
      let sizeBytes = 0
      try {
        for (;;) sizeBytes += (await file.write(chunk)).bytesWritten
      } catch (error) {
        if (systemErrorCode(error) !== 'ENOSPC') throw error
      }
      await file.truncate(Math.max(0, sizeBytes - leftBytes))
    } finally {
      await file.close()
    }
  }

  /** Gives back what `fill` took. */
  async free(): Promise<void> {
    await rm(this.#ballast, { force: true })
  }

  /** Also while files on it are open: they are gone when their users are. */
  async unmount(): Promise<void> {
    await run('umount', ['--lazy', this.#folder])
  }
}
