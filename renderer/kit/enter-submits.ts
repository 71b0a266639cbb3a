/** Enter in a group of radio buttons drawn by us sends the form around it, as it does in those of a browser. */
import type { KeyboardEvent } from 'react'

export function submitOnEnter(event: KeyboardEvent<HTMLElement>): void {
  if (event.key !== 'Enter') return
  event.preventDefault()
  event.currentTarget.closest('form')?.requestSubmit()
}
