/**
 * A stand-in for the `electron` module, for machines where Electron's binary cannot be had. Promises what the
 * app uses of it: the life cycle, windows that are real Chromium pages with the preload script in an isolated
 * world, IPC with transferred ports, the app's protocol, navigation, window and permission handlers that are
 * enforced, and a desktop (tray, menus, notifications, power) that tests see and poke. Whatever else is asked
 * of it throws. What it cannot prove about Electron itself stands in README.md beside this file.
 */
export { app } from './app.ts'
export { BrowserWindow } from './browser-window.ts'
export {
  dialog,
  Menu,
  Notification,
  nativeImage,
  nativeTheme,
  powerMonitor,
  powerSaveBlocker,
  safeStorage,
  screen,
  shell,
  Tray,
} from './desktop.ts'
export { ipcMain } from './ipc-main.ts'
export { protocol, session } from './session.ts'
