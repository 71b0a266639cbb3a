/**
 * Loaded into a host by `node --import`: writes twice a second, to the file WDOCK_LOOP_REPORT names, how long its
 * main thread was busy at most between two turns of its event loop, in milliseconds of its own processor time —
 * which another program that takes the processor away does not lengthen. The first two seconds, in which the
 * program is loaded, do not count.
 */
import { writeFileSync } from 'node:fs'

const report = process.env.WDOCK_LOOP_REPORT
const warmUpMs = 2000

if (report !== undefined && process.argv[1]?.includes('headless')) {
  let last = process.threadCpuUsage()
  let worstMs = 0
  setInterval(() => {
    const now = process.threadCpuUsage()
    const busyMs = (now.user - last.user + now.system - last.system) / 1000
    last = now
    if (performance.now() > warmUpMs) worstMs = Math.max(worstMs, busyMs)
  }, 2).unref()
  setInterval(() => writeFileSync(report, JSON.stringify({ worstMs })), 500).unref()
}
