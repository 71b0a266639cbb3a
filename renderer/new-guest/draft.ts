/**
 * A guest while it is being described: plain fields that may still be wrong, and the step from there to what the
 * contract accepts. Pure; the rules are the shared schemas.
 */
import { type NewGuest, newGuest } from '../../shared/models/guest.ts'

const mebibyte = 1024 ** 2
const gibibyte = 1024 ** 3

export type SourceKind = NewGuest['source']['kind']

export interface Draft {
  name: string
  kind: SourceKind
  diskPath: string
  isoPath: string
  diskGibibytes: number
  kernelPath: string
  initrdPath: string
  commandLine: string
  cores: number
  memoryMebibytes: number
  network: NewGuest['network']
}

export const emptyDraft: Draft = {
  name: '',
  kind: 'demo',
  diskPath: '',
  isoPath: '',
  diskGibibytes: 20,
  kernelPath: '',
  initrdPath: '',
  commandLine: 'console=tty0',
  cores: 2,
  memoryMebibytes: 512,
  network: 'user',
}

export const demoGuest: NewGuest = {
  name: 'Demo',
  source: { kind: 'demo' },
  cores: 1,
  memoryBytes: 512 * mebibyte,
  network: 'user',
}

/** Where a form starts. An emulated guest gets one core: each further one can keep a whole core of this PC busy. */
export function freshDraft(pc: { emulates: boolean; demoAvailable: boolean }): Draft {
  const draft = { ...emptyDraft, cores: pc.emulates ? 1 : 2 }
  return withKind(draft, pc.demoAvailable ? 'demo' : 'disk')
}

/** Sensible sizes for a kind of source. */
export function withKind(draft: Draft, kind: SourceKind): Draft {
  return { ...draft, kind, memoryMebibytes: kind === 'demo' ? 512 : 2048 }
}

export type DraftField = keyof Draft
export type Problems = Partial<Record<DraftField, string>>

/** @returns the guest to create, or what is wrong with which field */
export function readDraft(draft: Draft): { guest: NewGuest } | { problems: Problems } {
  const missing = missingFields(draft)
  const parsed = newGuest.safeParse({
    name: draft.name,
    source: sourceOf(draft),
    cores: draft.cores,
    memoryBytes: draft.memoryMebibytes * mebibyte,
    network: draft.network,
  })
  if (parsed.success && Object.keys(missing).length === 0) return { guest: parsed.data }
  const problems: Problems = { ...missing }
  for (const issue of parsed.error?.issues ?? []) {
    const field = fieldOf(issue.path, draft.kind)
    problems[field] ??= sentence(issue.message)
  }
  return { problems }
}

function sourceOf(draft: Draft): unknown {
  switch (draft.kind) {
    case 'demo':
      return { kind: 'demo' }
    case 'disk':
      return { kind: 'disk', path: draft.diskPath }
    case 'iso':
      return { kind: 'iso', path: draft.isoPath, diskBytes: draft.diskGibibytes * gibibyte }
    case 'kernel':
      return {
        kind: 'kernel',
        kernelPath: draft.kernelPath,
        initrdPath: draft.initrdPath === '' ? null : draft.initrdPath,
        commandLine: draft.commandLine,
        diskPath: draft.diskPath === '' ? null : draft.diskPath,
      }
  }
}

function missingFields(draft: Draft): Problems {
  const problems: Problems = {}
  if (draft.name.trim() === '') problems.name = 'Give it a name.'
  if (draft.kind === 'disk' && draft.diskPath === '') problems.diskPath = 'Choose a disk image.'
  if (draft.kind === 'iso' && draft.isoPath === '') problems.isoPath = 'Choose an installation image.'
  if (draft.kind === 'kernel' && draft.kernelPath === '') problems.kernelPath = 'Choose a kernel.'
  return problems
}

function fieldOf(path: readonly PropertyKey[], kind: SourceKind): DraftField {
  const last = path.at(-1)
  switch (last) {
    case 'cores':
    case 'network':
    case 'commandLine':
    case 'kernelPath':
    case 'initrdPath':
    case 'diskPath':
      return last
    case 'path':
      return kind === 'iso' ? 'isoPath' : 'diskPath'
    case 'memoryBytes':
      return 'memoryMebibytes'
    case 'diskBytes':
      return 'diskGibibytes'
    default:
      return 'name'
  }
}

function sentence(text: string): string {
  const trimmed = text.replace(/\.$/, '')
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}.`
}
