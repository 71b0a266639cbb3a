/**
 * The most memory that hosts and the programs that they start for a while hold. Promises to look at Linux's own
 * high-water marks (`VmHWM`), so that nothing is missed between two looks but a program that came and went. QEMUs are
 * children of a host as well and are not counted.
 */
import { readdirSync, readFileSync } from 'node:fs'

const lookEveryMs = 200

export interface Peak {
  name: string
  hostBytes: number
  /** All that lived at the same time. */
  helperBytes: number
}

export class ResidentWatch {
  readonly #peaks: (Peak & { pid: number })[]
  readonly #timer: NodeJS.Timeout

  constructor(hosts: readonly { name: string; pid: number }[]) {
    this.#peaks = hosts.map((host) => ({ ...host, hostBytes: 0, helperBytes: 0 }))
    this.#timer = setInterval(() => this.#look(), lookEveryMs)
    this.#timer.unref()
  }

  /** @returns the peaks since the start of each host */
  end(): Peak[] {
    this.#look()
    clearInterval(this.#timer)
    return this.#peaks.map(({ name, hostBytes, helperBytes }) => ({ name, hostBytes, helperBytes }))
  }

  #look(): void {
    for (const peak of this.#peaks) {
      const helpers = childrenOf(peak.pid).reduce((sum, pid) => sum + treeBytes(pid), 0)
      peak.helperBytes = Math.max(peak.helperBytes, helpers)
      peak.hostBytes = Math.max(peak.hostBytes, highWater(peak.pid)?.bytes ?? 0)
    }
  }
}

function treeBytes(pid: number): number {
  const own = highWater(pid)
  if (own === null || own.name.startsWith('qemu')) return 0
  return childrenOf(pid).reduce((sum, child) => sum + treeBytes(child), own.bytes)
}

/** Null once the process is gone. */
export function highWater(pid: number): { name: string; bytes: number } | null {
  const status = readIfThere(`/proc/${pid}/status`)
  const name = /^Name:\t(.*)$/m.exec(status)?.[1]
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  return name === undefined || kibibytes === undefined ? null : { name, bytes: Number(kibibytes) * 1024 }
}

/** Those that any of its threads started. */
export function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readIfThere(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
    )
  } catch {
    return []
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
