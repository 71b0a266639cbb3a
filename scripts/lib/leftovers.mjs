/**
 * What a test run left behind: processes that inherited its marker from the environment, network namespaces of
 * ours that were not there before, and files in the temporary folder that it was given.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

const NAMESPACES = '/var/run/netns'
const PATIENCE_MS = 3_000

/**
 * Left by the tools themselves on purpose, not by a test: their caches, and what Playwright keeps for a program
 * that drives a browser and that a test kills.
 */
const TOOL_FILES = [
  /^(node-compile-cache|v8-compile-cache.*|node-jiti|jiti|playwright-transform-cache-\d+)$/,
  /^(\.org\.chromium\..*|dbus-.*|playwright-artifacts-.*)$/,
]

/** @param {string} path */
function entries(path) {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** @param {string} path */
function text(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // gone meanwhile, or another user's
  }
}

/** Names of the network namespaces that are ours. */
export function ourNamespaces() {
  return entries(NAMESPACES).filter((name) => name.startsWith('wdock-'))
}

/**
 * Processes whose environment holds `marker`, this one left out.
 * @param {string} marker NAME=value @returns {{ pid: number, command: string }[]}
 */
export function markedProcesses(marker) {
  return entries('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => text(`/proc/${pid}/environ`).split('\0').includes(marker))
    .filter((pid) => !/^\d+ \(.*\) Z/s.test(text(`/proc/${pid}/stat`)))
    .map((pid) => ({
      pid: Number(pid),
      command: text(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 160),
    }))
}

/**
 * @param {{ marker: string, namespacesBefore: string[], temporary: string }} run
 * @returns {Promise<string[]>} a line for each thing left; processes get a moment to end by themselves
 */
export async function leftovers({ marker, namespacesBefore, temporary }) {
  const endMs = Date.now() + PATIENCE_MS
  while (markedProcesses(marker).length > 0 && Date.now() < endMs) await delay(100)
  const processes = markedProcesses(marker)
  const namespaces = ourNamespaces().filter((name) => !namespacesBefore.includes(name))
  const files = entries(temporary).filter((name) => !TOOL_FILES.some((pattern) => pattern.test(name)))
  return [
    ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
    ...namespaces.map((name) => `network namespace ${name}`),
    ...files.map((name) => `file ${temporary}/${name}`),
  ]
}

/** Ends what a failed run left running, so that it does not disturb the next. @param {string} marker */
export function endMarked(marker) {
  for (const { pid } of markedProcesses(marker)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // gone meanwhile
    }
  }
}
