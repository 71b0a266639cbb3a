/**
 * `node --import ./e2e/stand-in/register.ts dist/main.mjs`: from here on `import 'electron'` means the stand-in.
 * The compiled main module runs unchanged under plain Node, its window a real page of Chromium.
 */
import { registerHooks } from 'node:module'

const standIn = new URL('./electron.ts', import.meta.url).href

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'electron' || specifier === 'electron/main'
      ? { url: standIn, format: 'module-typescript', shortCircuit: true }
      : next(specifier, context),
})
