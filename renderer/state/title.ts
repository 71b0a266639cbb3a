/** The window's title says what is open, for task bars and screen readers. */
import { useEffect } from 'react'

const product = 'Wireless Dock+'

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · ${product}`
    return () => {
      document.title = product
    }
  }, [title])
}
