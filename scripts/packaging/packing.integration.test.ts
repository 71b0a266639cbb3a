import { expect, it } from 'vitest'
import { provePacking } from './prove.ts'

it('packs the built app and nothing else, and its host starts out of the archive', async () => {
  const proof = await provePacking()
  for (const file of ['main.mjs', 'preload.cjs', 'headless.mjs', 'wdock.mjs', 'renderer/index.html']) {
    expect(proof.archived).toContain(`dist/${file}`)
  }
  expect(proof.archived.filter((path) => !/^(dist\/|assets\/icons\/|package\.json$)/.test(path))).toEqual([])
  expect(proof.fuses).toEqual({
    runAsNode: false,
    enableCookieEncryption: true,
    enableNodeOptionsEnvironmentVariable: false,
    enableNodeCliInspectArguments: false,
    enableEmbeddedAsarIntegrityValidation: true,
    onlyLoadAppFromAsar: true,
    loadBrowserProcessSpecificV8Snapshot: false,
    grantFileProtocolExtraPrivileges: false,
  })
  expect(proof.resources).toEqual(expect.arrayContaining(['app.asar', 'demo-guest', 'systemd']))
  expect(proof.host.dockName).toBe('Packed')
  expect(proof.page).toEqual({ status: 200, type: 'text/html; charset=utf-8' })
  expect(proof.exitCode).toBe(0)
}, 120_000)
