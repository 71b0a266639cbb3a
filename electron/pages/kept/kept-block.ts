/** A memory block of a guest: what addresses are counted through. */
export interface KeptBlock {
  name: string
  pages: number
}

/** Whether addresses mean the same in both: the same blocks in the same order. */
export function sameBlocks(a: readonly KeptBlock[], b: readonly KeptBlock[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ name, pages }, index) => name === b[index]?.name && pages === b[index].pages)
  )
}
