/**
 * Puts the focus on what comes in the place of the button that was pressed. Otherwise the focus goes with that button,
 * and the keyboard starts again at the top of the page.
 */
import { type RefObject, useEffect, useRef } from 'react'

export function useFocusOnMount<T extends HTMLElement>(): RefObject<T | null> {
  const ref = useRef<T>(null)
  useEffect(() => ref.current?.focus(), [])
  return ref
}
