/**
 * Where the keyboard stays when what had it goes. Promises that a dialog gives the focus back to the button that opened
 * it, and that where a person's deed takes its own button away (a named checkpoint has no “Name it…” any more, a link
 * that was taken back has no row) the focus goes to what stands in its place, or nearest. What goes by itself, and what
 * goes with the whole view, takes the focus with it as ever: nobody shall press what has moved under their finger.
 */

/** What had the focus on the page last, dialogs and menus aside, or stands in for it. */
let anchor: HTMLElement | null = null
/** Whether it, or the form that it is in, was pressed: then what becomes of it is the person’s doing. */
let wasPressed = false

/** For dialogs, which are over the page. */
export function focusOnPage(): HTMLElement | null {
  return anchor
}

/** Begins to follow the focus. @returns a function that ends it */
export function keepFocus(): () => void {
  const observer = new MutationObserver(onChanges)
  observer.observe(document.body, { childList: true, subtree: true })
  document.addEventListener('focusin', onFocusIn)
  document.addEventListener('focusout', onFocusOut)
  document.addEventListener('click', onDeed, true)
  document.addEventListener('submit', onDeed, true)
  return () => {
    observer.disconnect()
    document.removeEventListener('focusin', onFocusIn)
    document.removeEventListener('focusout', onFocusOut)
    document.removeEventListener('click', onDeed, true)
    document.removeEventListener('submit', onDeed, true)
  }
}

function onFocusIn({ target }: FocusEvent): void {
  if (!(target instanceof HTMLElement) || target === anchor || target.closest('#root') === null) return
  anchor = target
  wasPressed = false
}

/** Somebody clicked beside everything: the focus is nowhere because it was put there. */
function onFocusOut({ target, relatedTarget }: FocusEvent): void {
  if (relatedTarget !== null || target !== anchor) return
  queueMicrotask(() => {
    // An element that is taken away loses the focus, too.
    if (anchor === target && anchor?.isConnected && document.activeElement === document.body) anchor = null
  })
}

function onDeed({ type, target }: Event): void {
  if (!(target instanceof Node) || anchor === null) return
  if (type === 'submit' ? target.contains(anchor) : anchor.contains(target)) wasPressed = true
}

function onChanges(changes: readonly MutationRecord[]): void {
  if (anchor === null) return
  if (!anchor.isConnected) anchor = wasPressed ? successorOf(anchor, changes) : null
  // Whoever else places the focus, as a dialog that closes does, has done so by then.
  requestAnimationFrame(() => {
    const isDialogOpen = document.querySelector('.dialog') !== null
    if (document.activeElement === document.body && !isDialogOpen) anchor?.focus({ preventScroll: true })
  })
}

/** The first that can have the focus from where `gone` was, in the closest surroundings that have one; else the last before. */
function successorOf(gone: HTMLElement, changes: readonly MutationRecord[]): HTMLElement | null {
  let { parent, before } = placeOf(gone, changes)
  for (; parent instanceof Element && parent.closest('main') !== null; parent = parent.parentNode) {
    const all = [
      ...parent.querySelectorAll<HTMLElement>('a[href], button, input, select, textarea, [tabindex]'),
    ]
    const able = all.filter(
      (each) => each.tabIndex >= 0 && !each.matches(':disabled') && each.checkVisibility(),
    )
    const found = able.find((each) => isBehind(each, before)) ?? able.at(-1)
    if (found !== undefined) return found
    before = parent
  }
  return null
}

/** Where a node was before it was taken out, by what is still there. */
function placeOf(
  gone: Node,
  changes: readonly MutationRecord[],
): { parent: Node | null; before: Node | null } {
  let place: { parent: Node | null; before: Node | null } = { parent: gone.parentNode, before: null }
  let lost = gone
  for (const { removedNodes, target, previousSibling } of changes) {
    if (![...removedNodes].some((node) => node.contains(lost) || node === place.before)) continue
    place = { parent: target, before: previousSibling }
    lost = target
  }
  return place
}

function isBehind(element: Node, before: Node | null): boolean {
  if (before === null) return true
  const where = before.compareDocumentPosition(element)
  return (where & Node.DOCUMENT_POSITION_FOLLOWING) !== 0 && !before.contains(element)
}
