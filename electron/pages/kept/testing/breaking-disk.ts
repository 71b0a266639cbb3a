/**
 * A disk that fails at one of the calls that change something, for tests: once, from there on, or as in a
 * power cut, when nothing else is called any more and files are half of what was not synced. Relies on the
 * system's disk for the rest.
 */
import { existsSync, statSync, truncateSync } from 'node:fs'
import { type KeptDisk, systemDisk } from '../kept-disk.ts'

export type Breaking = 'once' | 'full' | 'power cut'

export class BreakingDisk implements KeptDisk {
  readonly #breakAt: number
  readonly #breaking: Breaking
  readonly #paths = new Map<number, string>()
  readonly #unsynced = new Set<string>()
  #calls = 0

  /** @param breakAt which call it is, from 1 */
  constructor(breakAt: number, breaking: Breaking) {
    this.#breakAt = breakAt
    this.#breaking = breaking
  }

  /** Whether it has come to that. */
  get isBroken(): boolean {
    return this.#calls >= this.#breakAt
  }

  open(path: string, to: 'read' | 'write'): number {
    if (to === 'read') return systemDisk.open(path, to)
    this.#count()
    const file = systemDisk.open(path, to)
    this.#paths.set(file, path)
    this.#unsynced.add(path)
    return file
  }

  close(file: number): void {
    systemDisk.close(file)
  }

  read(file: number, out: Buffer, at: number, lengthBytes: number, position: number): number {
    return systemDisk.read(file, out, at, lengthBytes, position)
  }

  write(file: number, bytes: Buffer, at: number, lengthBytes: number, position: number): number {
    this.#count()
    this.#unsynced.add(this.#paths.get(file) ?? '')
    return systemDisk.write(file, bytes, at, lengthBytes, position)
  }

  sync(file: number): void {
    this.#count()
    this.#unsynced.delete(this.#paths.get(file) ?? '')
  }

  syncFolder(_folder: string): void {
    this.#count()
  }

  rename(from: string, to: string): void {
    this.#count()
    systemDisk.rename(from, to)
    if (this.#unsynced.delete(from)) this.#unsynced.add(to)
    else this.#unsynced.delete(to)
  }

  remove(path: string): void {
    // Removing works on a full disk.
    if (this.#breaking === 'power cut') this.#count()
    systemDisk.remove(path)
  }

  list(folder: string): string[] {
    return systemDisk.list(folder)
  }

  makeFolder(folder: string): void {
    this.#count()
    systemDisk.makeFolder(folder)
  }

  #count(): void {
    this.#calls += 1
    if (this.#calls < this.#breakAt || (this.#calls > this.#breakAt && this.#breaking === 'once')) return
    if (this.#calls === this.#breakAt && this.#breaking === 'power cut') this.#losePower()
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  }

  #losePower(): void {
    for (const path of this.#unsynced) {
      if (existsSync(path)) truncateSync(path, Math.floor(statSync(path).size / 2))
    }
  }
}
