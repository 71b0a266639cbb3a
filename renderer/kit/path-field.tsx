/** A path of this PC: typed, or chosen from its folders. */
import { FolderOpen } from 'lucide-react'
import { useState } from 'react'
import { Button } from './button.tsx'
import { FileDialog, type Wanted } from './file-dialog.tsx'
import { TextField } from './text-field.tsx'

interface PathFieldProps {
  label: string
  wanted?: Wanted
  value: string
  onChange: (path: string) => void
  hint?: string
  problem?: string | undefined
}

export function PathField({ label, wanted = 'file', value, onChange, hint, problem }: PathFieldProps) {
  const [choosing, setChoosing] = useState(false)
  return (
    <>
      <TextField
        label={label}
        value={value}
        onChange={onChange}
        hint={hint}
        problem={problem}
        placeholder={`/path/to/the/${wanted}`}
        maxLength={4096}
        after={
          <Button
            icon={<FolderOpen size={16} aria-hidden />}
            aria-label={`Choose: ${label}`}
            onClick={() => setChoosing(true)}
          >
            Choose …
          </Button>
        }
      />
      {choosing && (
        <FileDialog
          title={label}
          wanted={wanted}
          onClose={() => setChoosing(false)}
          onChoose={(path) => {
            onChange(path)
            setChoosing(false)
          }}
        />
      )}
    </>
  )
}
