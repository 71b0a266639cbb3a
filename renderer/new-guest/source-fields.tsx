/** Where a guest comes from: four cards, and the fields that belong to the chosen one. */
import { Cpu, Disc3, HardDrive, Sparkles } from 'lucide-react'
import { type Card, CardChoice } from '../kit/card-choice.tsx'
import { NumberField } from '../kit/number-field.tsx'
import { PathField } from '../kit/path-field.tsx'
import { TextField } from '../kit/text-field.tsx'
import type { SourceKind } from './draft.ts'
import type { DraftProps } from './new-guest-page.tsx'

const cards: readonly Card<SourceKind>[] = [
  {
    value: 'demo',
    title: 'Demo guest',
    text: 'A tiny Linux that is there in seconds',
    icon: <Sparkles className="cards__icon" size={20} aria-hidden />,
  },
  {
    value: 'disk',
    title: 'Disk image',
    text: 'A copy of a qcow2 or raw disk',
    icon: <HardDrive className="cards__icon" size={20} aria-hidden />,
  },
  {
    value: 'iso',
    title: 'Installation image',
    text: 'A fresh disk, started from an ISO',
    icon: <Disc3 className="cards__icon" size={20} aria-hidden />,
  },
  {
    value: 'kernel',
    title: 'Linux kernel',
    text: 'A kernel and an initrd',
    icon: <Cpu className="cards__icon" size={20} aria-hidden />,
  },
]

interface SourcePickerProps {
  kind: SourceKind
  demoAvailable: boolean
  onChange: (kind: SourceKind) => void
}

export function SourcePicker({ kind, demoAvailable, onChange }: SourcePickerProps) {
  const offered = demoAvailable
    ? cards
    : cards.map((card) =>
        card.value === 'demo'
          ? { ...card, disabled: true, text: 'Not built on this PC: npm run setup' }
          : card,
      )
  return <CardChoice label="Where it comes from" value={kind} cards={offered} onChange={onChange} />
}

export function SourceFields({ draft, change, problems }: DraftProps) {
  switch (draft.kind) {
    case 'demo':
      return null
    case 'disk':
      return (
        <PathField
          label="Disk image"
          value={draft.diskPath}
          onChange={(diskPath) => change({ diskPath })}
          problem={problems.diskPath}
          hint="It is copied; the original stays as it is."
        />
      )
    case 'iso':
      return (
        <>
          <PathField
            label="Installation image (ISO)"
            value={draft.isoPath}
            onChange={(isoPath) => change({ isoPath })}
            problem={problems.isoPath}
          />
          <NumberField
            label="Size of its disk"
            unit="GiB"
            value={draft.diskGibibytes}
            onChange={(diskGibibytes) => change({ diskGibibytes })}
            min={1}
            max={65_536}
          />
        </>
      )
    case 'kernel':
      return <KernelFields draft={draft} change={change} problems={problems} />
  }
}

function KernelFields({ draft, change, problems }: DraftProps) {
  return (
    <>
      <PathField
        label="Kernel"
        value={draft.kernelPath}
        onChange={(kernelPath) => change({ kernelPath })}
        problem={problems.kernelPath}
      />
      <PathField
        label="Initial RAM disk (optional)"
        value={draft.initrdPath}
        onChange={(initrdPath) => change({ initrdPath })}
        problem={problems.initrdPath}
      />
      <TextField
        label="Kernel command line"
        value={draft.commandLine}
        onChange={(commandLine) => change({ commandLine })}
        problem={problems.commandLine}
        maxLength={2048}
      />
      <PathField
        label="Disk image (optional)"
        value={draft.diskPath}
        onChange={(diskPath) => change({ diskPath })}
        problem={problems.diskPath}
        hint="It is copied; the original stays as it is."
      />
    </>
  )
}
