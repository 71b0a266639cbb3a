/**
 * Places at which a test may stop a move and do its worst. A host that people run has none: they are given to
 * `startHost` by a test's own entry and reachable in no other way.
 */
export type FaultPoint =
  | 'copying-layers'
  | 'preparing'
  | 'launched'
  | 'mirroring-disk'
  | 'copying-memory'
  /** QEMU has stopped the guest for the switchover. */
  | 'guest-stopped'
  /** The destination has loaded everything. */
  | 'loaded'
  /** In the journal of the source; the commit has not been sent. */
  | 'given-away'
  /** Post-copy, on the source: it runs there, and only what it asks for follows yet. */
  | 'fetching'
  /** On the destination: the guest runs, the answer has not been sent. */
  | 'committed'
  /** The source has the answer and has forgotten nothing yet. */
  | 'answered'

export interface Faults {
  at(point: FaultPoint): Promise<void>
}
