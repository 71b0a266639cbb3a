/** What a measurement of a move says, and whose turn it is. Pure. */

/** One move of a guest, measured from outside the same way for whoever did it. */
export interface Move {
  /** From the decision, before a QEMU is started there, to the guest's first tick there. */
  totalMs: number
  /** From when memory begins to cross, for plain QEMU its order to `migrate`, to the guest's first tick there. */
  memoryMs: number
  /** Between the guest's last tick here and its first there. */
  freezeMs: number
  /** What both ends of the link sent, from the decision on. */
  wireBytes: number
}

/** A guest that writes faster than the link carries may never arrive: then the move is given up, and it stays. */
export type Outcome = { kind: 'arrived'; move: Move } | { kind: 'gave-up'; afterMs: number }

/** @throws when the guest did not arrive */
export function arrived(outcome: Outcome): Move {
  if (outcome.kind === 'arrived') return outcome.move
  throw new Error(`the guest had not arrived after ${outcome.afterMs} ms`)
}

/** Who goes first changes each round, so that a machine that slows down or speeds up favours nobody. */
export function turns<Side>(round: number, ours: Side, peer: Side): readonly [Side, Side] {
  return round % 2 === 0 ? [ours, peer] : [peer, ours]
}
