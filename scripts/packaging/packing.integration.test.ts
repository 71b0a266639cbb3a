import { beforeAll, expect, it } from 'vitest'
import { type PackingProof, provePacking } from './prove.ts'

let proof: PackingProof
beforeAll(async () => {
  proof = await provePacking()
}, 120_000)

it('packs the built app and nothing else, and closes what Electron leaves open', () => {
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
  expect(proof.resources).toEqual(expect.arrayContaining(['app.asar', 'demo-guest', 'systemd', 'wdock']))
})

const works = {
  appVersion: expect.stringMatching(/^\d+\.\d+\.\d+$/),
  dockName: 'Packed',
  demoGuestAvailable: true,
  page: { status: 200, type: 'text/html; charset=utf-8' },
  exitCode: 0,
}

it('has a host in its archive that starts, and finds the demo guest beside it', () => {
  expect(proof.archive).toEqual(works)
})

it('has a wdock that runs by its own Node, as agent and as command, with demo guest and window', () => {
  expect(proof.agent).toEqual(works)
  expect(proof.commands).toEqual([
    expect.stringContaining('Packed guest is created'),
    'The window is open.\n',
  ])
})

it('puts wdock and its systemd unit where Debian looks for them', () => {
  expect(proof.deb.parts).toMatchObject({
    '/usr/bin/wdock': 'program',
    '/usr/lib/systemd/user/wdock.service': 'file',
    '/opt/Wireless Dock+': 'folder',
  })
  expect(proof.deb.wdock).toEqual({ runs: '/opt/Wireless Dock+/wdock', isPacked: true })
})
