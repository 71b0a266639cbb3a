/** How tests start Debian's Chromium: without the network of its own, and without its sandbox only as root. */
import type { LaunchOptions } from '@playwright/test'

export function chromiumOptions(): LaunchOptions & { chromiumSandbox: boolean } {
  return {
    executablePath: process.env.WDOCK_CHROMIUM ?? '/usr/bin/chromium',
    headless: process.env.WDOCK_HEADED !== '1',
    chromiumSandbox: process.getuid?.() !== 0,
    args: ['--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  }
}
