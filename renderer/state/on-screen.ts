/** Whether an element is on the screen, or about to be. One observer serves all of them: there may be hundreds. */
import { type RefObject, useEffect, useState } from 'react'

const listeners = new WeakMap<Element, (isOnScreen: boolean) => void>()
let observer: IntersectionObserver | null = null

function observe(element: Element, listener: (isOnScreen: boolean) => void): () => void {
  observer ??= new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) listeners.get(target)?.(isIntersecting)
  })
  const shared = observer
  listeners.set(element, listener)
  shared.observe(element)
  return () => {
    shared.unobserve(element)
    listeners.delete(element)
  }
}

export function useOnScreen(element: RefObject<HTMLElement | null>): boolean {
  const [isOnScreen, setOnScreen] = useState(false)
  useEffect(() => {
    if (element.current === null) return
    return observe(element.current, setOnScreen)
  }, [element])
  return isOnScreen
}
