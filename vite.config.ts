/**
 * Builds the page into dist/renderer. Addresses are relative, so that it opens from the local server and from the
 * app:// protocol alike, and nothing is inlined, so that the strictest content policy holds.
 */
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  root: 'renderer',
  base: './',
  plugins: [react()],
  build: {
    outDir: '../dist/renderer',
    emptyOutDir: true,
    target: 'chrome120',
    assetsInlineLimit: 0,
    modulePreload: false,
    chunkSizeWarningLimit: 1500,
  },
  server: { fs: { allow: ['..'] } },
})
