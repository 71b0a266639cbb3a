/**
 * Chromium asks nobody in headless mode, so the app's handlers are asked beforehand, for each permission by
 * name, and Chromium is told the answers for the page's origin.
 */
import type { CDPSession } from '@playwright/test'
import { mayUsePermission } from './session.ts'

/** Electron's name, and what Chromium's debugging protocol calls the same. */
const permissions: readonly [electron: string, chromium: string][] = [
  ['geolocation', 'geolocation'],
  ['notifications', 'notifications'],
  ['media', 'camera'],
  ['media', 'microphone'],
  ['midi', 'midi'],
  ['idle-detection', 'idle-detection'],
  ['clipboard-read', 'clipboard-read'],
  ['clipboard-sanitized-write', 'clipboard-write'],
  ['window-management', 'window-management'],
  ['local-fonts', 'local-fonts'],
  ['local-network-access', 'local-network-access'],
  ['local-network', 'local-network'],
  ['loopback-network', 'loopback-network'],
]

export async function applyPermissions(
  cdp: CDPSession,
  contents: unknown,
  appUrl: string,
  origin: string,
): Promise<void> {
  for (const [electron, name] of permissions) {
    const setting = mayUsePermission(contents, electron, appUrl) ? 'granted' : 'denied'
    await cdp.send('Browser.setPermission', { permission: { name }, setting, origin })
  }
}
