/**
 * What is built from what. The programs for Node and Electron share their chunks and carry every npm package
 * inside, so that `dist/` runs without `node_modules`; the preload is one CommonJS file, as a sandboxed page
 * demands. Entries that don't exist are left out.
 */
import { chmodSync, existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build, type InlineConfig, type Plugin } from 'vite'
import { filesBelow } from './stamp.mjs'

/** Electron comes with its binary; the other two are optional native helpers of `ws`, tried at run time. */
const external = ['electron', /^electron\//, 'bufferutil', 'utf-8-validate']

const programs = {
  main: 'electron/main.ts',
  headless: 'electron/headless.ts',
  wdock: 'electron/cli/wdock.ts',
}

/**
 * @param root the repository
 * @param outDir an empty folder on the same file system as `dist`
 * @returns the names of what was built
 */
export async function buildAll(root: string, outDir: string): Promise<string[]> {
  const built: string[] = []
  const present = Object.entries(programs).filter(([, source]) => existsSync(join(root, source)))
  const helpers = helperEntries(root)
  if (present.length > 0) {
    await buildPrograms(root, outDir, Object.fromEntries([...present, ...helpers]))
    built.push(...present.map(([name]) => name), ...helpers.map(([name]) => name))
  }
  if (existsSync(join(root, 'electron/preload.ts'))) {
    await buildPreload(root, outDir)
    built.push('preload')
  }
  if (existsSync(join(root, 'vite.config.ts')) && existsSync(join(root, 'renderer/index.html'))) {
    await buildPage(root, outDir)
    built.push('renderer')
  }
  return built
}

/** Each `NAME.worker.ts` or `NAME.child.ts` below electron/ becomes `dist/NAME.worker.mjs` or `dist/NAME.child.mjs`. */
function helperEntries(root: string): [string, string][] {
  const sources = filesBelow(root, 'electron').filter((file) => /\.(worker|child)\.ts$/.test(file))
  const entries = sources.map((file): [string, string] => [basename(file, '.ts'), file])
  const names = new Set(entries.map(([name]) => name))
  if (names.size < entries.length) throw new Error(`Two helpers share a name: ${sources.join(', ')}`)
  return entries
}

function shared(root: string): InlineConfig {
  return { root, configFile: false, envDir: false, logLevel: 'warn', publicDir: false }
}

async function buildPrograms(root: string, outDir: string, input: Record<string, string>): Promise<void> {
  await build({
    ...shared(root),
    plugins: [helperAddresses(), commandLineHead(outDir)],
    ssr: { noExternal: true, external: [] },
    resolve: { conditions: ['node', 'import', 'module', 'default'] },
    build: {
      ssr: true,
      target: 'node24',
      outDir,
      emptyOutDir: false,
      minify: false,
      sourcemap: false,
      rolldownOptions: {
        input: Object.fromEntries(Object.entries(input).map(([name, file]) => [name, join(root, file)])),
        external,
        platform: 'node',
        output: {
          format: 'es',
          entryFileNames: '[name].mjs',
          chunkFileNames: 'chunk-[name]-[hash].mjs',
        },
      },
    },
  })
}

async function buildPreload(root: string, outDir: string): Promise<void> {
  await build({
    ...shared(root),
    ssr: { noExternal: true },
    build: {
      ssr: true,
      target: 'chrome140',
      outDir,
      emptyOutDir: false,
      minify: false,
      rolldownOptions: {
        input: { preload: join(root, 'electron/preload.ts') },
        external,
        output: { format: 'cjs', entryFileNames: '[name].cjs', codeSplitting: false },
      },
    },
  })
}

async function buildPage(root: string, outDir: string): Promise<void> {
  await build({
    configFile: join(root, 'vite.config.ts'),
    logLevel: 'warn',
    build: { outDir: join(outDir, 'renderer'), emptyOutDir: true },
  })
}

/** Sources name a helper as `new URL('./x.worker.ts', import.meta.url)`; in `dist/` it lies beside. */
function helperAddresses(): Plugin {
  const address = /new URL\(\s*(['"])[^'"]*?([^/'"]+\.(?:worker|child))\.ts\1\s*,\s*import\.meta\.url\s*\)/g
  return {
    name: 'helper-addresses',
    enforce: 'pre',
    transform(code) {
      if (!code.includes('.worker.ts') && !code.includes('.child.ts')) return null
      // Joined at run time: a literal would be taken for an asset and inlined.
      const replaced = code.replace(address, (_whole, _quote, name: string) => {
        return `new URL('./' + ${JSON.stringify(`${name}.mjs`)}, import.meta.url)`
      })
      return { code: replaced, map: null }
    },
  }
}

/** `dist/wdock.mjs` is started by its name. */
function commandLineHead(outDir: string): Plugin {
  return {
    name: 'command-line-head',
    renderChunk(code, chunk) {
      if (!chunk.isEntry || chunk.name !== 'wdock' || code.startsWith('#!')) return null
      return { code: `#!/usr/bin/env node\n${code}`, map: null }
    },
    closeBundle() {
      const file = join(outDir, 'wdock.mjs')
      if (existsSync(file)) chmodSync(file, 0o755)
    },
  }
}
