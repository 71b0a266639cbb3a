/**
 * The names of what is kept of one guest, its salt, and what a crash leaves behind. Relies on the folder
 * being this guest's alone: files in it that look like ours and are not listed are removed.
 */
import { join } from 'node:path'
import type { Random } from '../../platform/random.ts'
import { type KeptDisk, readSmall, trying, writeSmall } from './kept-disk.ts'

const saltBytes = 32

export function keptFiles(folder: string) {
  return {
    salt: join(folder, 'salt'),
    table: join(folder, 'table'),
    newTable: join(folder, 'table.tmp'),
    note: join(folder, 'note.json'),
  }
}

/** @returns null when there is none that can be used */
export function readSalt(disk: KeptDisk, folder: string): Buffer | null {
  const salt = readSmall(disk, keptFiles(folder).salt, saltBytes)
  return salt?.length === saltBytes ? salt : null
}

/** @throws what the disk throws */
export function makeSalt(disk: KeptDisk, random: Random, folder: string): Buffer {
  const salt = random.bytes(saltBytes)
  writeSmall(disk, keptFiles(folder).salt, salt)
  return salt
}

/**
 * Removes segments but these, and files that were being written. @param ids of segments, in hexadecimal
 * digits
 */
export function removeLeftovers(disk: KeptDisk, folder: string, ids: ReadonlySet<string>): void {
  trying(() => {
    for (const name of disk.list(folder)) {
      const id = /^([0-9a-f]{32})\.seg$/.exec(name)?.[1]
      const isLeft = id === undefined ? name.endsWith('.tmp') : !ids.has(id)
      if (isLeft) trying(() => disk.remove(join(folder, name)))
    }
  })
}
