/** A path of this PC: typed, or chosen from its folders. */
import { FolderOpen } from 'lucide-react'
import { useState } from 'react'
import { Button } from '../kit/button.tsx'
import { TextField } from '../kit/text-field.tsx'
import { FileDialog } from './file-dialog.tsx'

interface PathFieldProps {
  label: string
  value: string
  onChange: (path: string) => void
  hint?: string
  problem?: string | undefined
}

export function PathField({ label, value, onChange, hint, problem }: PathFieldProps) {
  const [choosing, setChoosing] = useState(false)
  return (
    <>
      <TextField
        label={label}
        value={value}
        onChange={onChange}
        hint={hint}
        problem={problem}
        placeholder="/path/to/the/file"
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
