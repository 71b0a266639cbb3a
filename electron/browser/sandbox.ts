/**
 * Chromium's sandbox. It is what keeps a page that went astray from the rest of the PC, so it stays on for everyone
 * who can have it: Chromium, and with it Electron, refuses to run as root with its sandbox, and only then it is
 * given up.
 */

/** What Chromium or Electron has to be told to run as this process's user; nothing unless that is root. */
export function sandboxArguments(): string[] {
  return process.getuid?.() === 0 ? ['--no-sandbox'] : []
}
