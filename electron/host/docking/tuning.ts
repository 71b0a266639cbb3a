/** The few numbers that decide how a move feels, each with its reason. */

/**
 * Memory stream on the way between the two hosts. What is in flight when the guest stops must still arrive before it
 * runs again, and QEMU takes what it could hand over for what has arrived: a large window makes it believe in a faster
 * link and stop the guest too early. So the window is a short time of the rate at which the other side takes it, long
 * enough for the turns that four processes take on two busy cores.
 */
export const memoryWindow = { durationMs: 32, minBytes: 512 * 1024, maxBytes: 4 * 1024 * 1024 }

/**
 * The same where the guest runs before its memory: every page that it waits for queues behind what is in flight, and what
 * is in flight when the link breaks at the very end cannot be sent again.
 */
export const postCopyWindow = { durationMs: 8, minBytes: 128 * 1024, maxBytes: 1024 * 1024 }

/** QEMU stops the guest when it thinks that the rest crosses within this time. */
export const downtimeLimitMs = 120

/**
 * A link that carries more than this is left to QEMU (about 240 Mbit/s). Up to 600 Mbit/s recognising pages may pay, but
 * a probe of the link, which is a message like any other, cannot tell such a link from a faster one.
 */
export const plainBytesPerS = 30e6

/** QEMU's defaults, set anew because they outlive a migration: gently at first, then harder. */
export const plainThrottle = {
  throttleTriggerPercent: 50,
  throttleInitialPercent: 20,
  throttleIncrementPercent: 10,
} as const

/**
 * Where the other dock has most of the memory, what QEMU sends in a round is no measure of what the link carries: a guest
 * that changes a twentieth of that is slowed. It is slowed at once and hard, because it is for a second and not for
 * a minute: one that rewrites 8 MB five times a second does so even with a tenth of its processor.
 */
export const pagesThrottle = {
  throttleTriggerPercent: 5,
  throttleInitialPercent: 99,
  throttleIncrementPercent: 1,
} as const
/** What QEMU's own rate of sending into the codec comes to at most here. */
export const codecBytesPerS = 800e6

/** The same over a slow link, for a guest that changes too much to come to that in a few rounds. */
export const laterDowntimeLimitMs = 350

/**
 * What follows unasked while a guest goes over before its memory: hardly anything, so that nothing stands in the way of
 * the pages without which it cannot begin.
 */
const switchoverPostCopyBytesPerS = 1_000_000

/** What is left after a round crosses in the pause where it takes no longer than this: no need for post-copy then. */
const postCopyDowntimeLimitMs = 1

export const postCopyParameters = {
  maxPostCopyBytesPerSecond: switchoverPostCopyBytesPerS,
  downtimeLimitMs: postCopyDowntimeLimitMs,
} as const

/** How often QEMU is asked how far it is while the page codec is in use: a return visit is over in a second. */
export const pollPagesEveryMs = 40

/** How often QEMU is asked how far it is. */
export const pollEveryMs = 150

/** A heartbeat during a move: three missed ones end it, so that the guest runs on within a second. */
export const movingHeartbeatMs = 200

/** On the destination: soon enough for the screen to tell the truth, without letting go of a source that is only busy. */
export const arrivingHeartbeatMs = 1000
export const restingHeartbeatMs = 5000

/** Without a byte of progress for this long the move is given up. */
export const stallMs = 20_000

/** When something fails, how long to wait for a better reason: the link, or what the other side says. */
export const reasonMs = 150

/** A mirror that is to end and whose far side does not answer is cut off after this. */
export const mirrorEndMs = 500
