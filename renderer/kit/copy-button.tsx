/** Puts a text on the clipboard and says so for a moment. */
import { Check, Copy } from 'lucide-react'
import { type Ref, useState } from 'react'
import { showDone } from '../state/toasts.ts'
import { Button, type ButtonLook, IconButton } from './button.tsx'

interface CopyButtonProps {
  text: string
  label: string
  /** With this look it shows its label; without one it is a picture. */
  look?: ButtonLook
  ref?: Ref<HTMLButtonElement>
}

export function CopyButton({ text, label, look, ref }: CopyButtonProps) {
  const [copied, setCopied] = useState(false)
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      return showDone('This window may not use the clipboard.')
    }
    setCopied(true)
    setTimeout(() => setCopied(false), 1500)
  }
  const icon = copied ? <Check size={16} aria-hidden /> : <Copy size={16} aria-hidden />
  const words = copied ? 'Copied' : label
  if (look === undefined) {
    return (
      <IconButton ref={ref} label={words} onClick={() => void copy()}>
        {icon}
      </IconButton>
    )
  }
  return (
    <Button ref={ref} look={look} icon={icon} onClick={() => void copy()}>
      {words}
    </Button>
  )
}
