/** Puts a text on the clipboard and says so for a moment. */
import { Check, Copy } from 'lucide-react'
import { useState } from 'react'
import { showDone } from '../state/toasts.ts'
import { IconButton } from './button.tsx'

export function CopyButton({ text, label }: { text: string; label: string }) {
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
  return (
    <IconButton label={copied ? 'Copied' : label} onClick={() => void copy()}>
      {copied ? <Check size={16} aria-hidden /> : <Copy size={16} aria-hidden />}
    </IconButton>
  )
}
